from __future__ import annotations

import dataclasses

import pytest

from spark_prox.errors import ConfigError
from spark_prox.programs import POLICIES, Policy, decide_document, policy_for


def test_a_policy_is_chosen_by_name_and_its_fields_can_be_replaced() -> None:
    assert policy_for("default") is POLICIES["default"]
    assert policy_for(POLICIES["compat"]) is POLICIES["compat"]
    changed = policy_for("default", max_errors=None, min_remove_margin=0.5)
    assert (changed.name, changed.max_errors, changed.min_remove_margin) == ("default", None, 0.5)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("defualt", {}, r"POLICY_UNKNOWN\].*Did you mean 'default'"),
        ("default", {"max_error": 3}, r"POLICY_UNKNOWN_FIELD\].*Did you mean 'max_errors'"),
        ("default", {"max_errors": "3"}, "POLICY_BAD_VALUE"),
        ("default", {"max_errors": True}, "POLICY_BAD_VALUE"),
        ("default", {"max_errors": -1}, "POLICY_BAD_VALUE"),
        ("default", {"max_removed_of_document": 95}, "POLICY_BAD_VALUE"),
        ("default", {"growth_slack_chars": None}, "POLICY_BAD_VALUE"),
        ("default", {"scope": "page"}, "POLICY_BAD_VALUE"),
        ("default", {"when_wiped": 1}, "POLICY_BAD_VALUE"),
    ],
)
def test_a_wrong_policy_is_an_error_that_names_what_would_be_right(
    name: str, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        policy_for(name, **overrides)


def test_the_fingerprint_changes_with_every_field_and_with_nothing_else() -> None:
    base = POLICIES["default"].fingerprint()
    assert base == Policy(name="default").fingerprint()
    assert len(base) == 64
    changes = {"name": "x", "reader": "upstream", "scope": "document", "when_wiped": "drop"}
    for field in dataclasses.fields(Policy):
        changed = dataclasses.replace(POLICIES["default"], **{field.name: changes.get(field.name, 1)})
        same = getattr(changed, field.name) == getattr(POLICIES["default"], field.name)
        assert (changed.fingerprint() == base) == same, field.name


@pytest.mark.parametrize(
    ("program", "dialect", "verdict", "reason"),
    [
        ("keep_doc()", "prox", "keep", "KEEP_CALL"),
        ("untouch_doc()", "prox", "keep", "KEEP_CALL"),
        ("drop_doc()", "prox", "drop", "DROP_CALL"),
        (" drop_doc() \n", "prox", "drop", "DROP_CALL"),
        ("drop_doc()\ndrop_doc()", "prox", "drop", "DROP_CALL"),
        ("keep_doc()\ndrop_doc()", "prox", "keep", "CONFLICT"),
        ("drop_doc", "prox", "keep", "TRUNCATED"),
        ("drop_doc(", "prox", "keep", "TRUNCATED"),
        ("do not drop", "prox", "keep", "NO_CALL"),
        ("", "prox", "keep", "EMPTY_PROGRAM"),
        ("remove_lines(all=True)", "prox", "keep", "WRONG_STAGE"),
        ("remove_all()", "ultrax", "drop", "DROP_CALL"),
        ("keep_all()", "refinex", "keep", "KEEP_CALL"),
    ],
)
def test_a_document_program_decides_and_keeps_where_it_is_unsure(
    program: str, dialect: str, verdict: str, reason: str
) -> None:
    assert decide_document(program, dialect=dialect) == (verdict, reason)


def test_a_document_program_under_compat_drops_wherever_it_says_drop() -> None:
    assert decide_document("do not drop", policy="compat") == ("drop", "DROP_CALL")
    assert decide_document("", policy="compat") == ("keep", "KEEP_CALL")


def test_a_small_margin_keeps_a_document() -> None:
    rules = policy_for("default", min_drop_margin=1.0)
    assert decide_document("drop_doc()", policy=rules, margin=-0.5) == ("keep", "UNSURE")
    assert decide_document("drop_doc()", policy=rules, margin=float("nan")) == ("keep", "UNSURE")
    assert decide_document("drop_doc()", policy=rules, margin=-1.0).verdict == "drop"
    assert decide_document("drop_doc()", policy=rules).verdict == "drop"
