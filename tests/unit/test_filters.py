from __future__ import annotations

import dataclasses

import pytest

from spark_prox.config.filters import ExactConfig, FiltersConfig, LanguageConfig, NearConfig, RulesConfig
from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError
from spark_prox.execution import execute_stored
from spark_prox.filters import filter_hashes
from spark_prox.programs import policy_for
from spark_prox.writers import settings_hash

SCRIPTED = ["model.engine=scripted", "count_tokens=false"]


def test_all_filters_are_off_and_then_nothing_decides_differently() -> None:
    assert filter_hashes(FiltersConfig()) == {}
    off = load_config(None, [*SCRIPTED, "filters.exact_duplicates.keep=longest"])
    assert settings_hash(off) == settings_hash(load_config(None, SCRIPTED))
    on = load_config(None, [*SCRIPTED, "filters.exact_duplicates.enabled=true"])
    assert settings_hash(on) != settings_hash(off)


def test_every_setting_of_a_filter_decides() -> None:
    on = ExactConfig(enabled=True)
    changes: list[dict[str, object]] = [
        {"url": False},
        {"text": False},
        {"normalize_space": False},
        {"keep": "longest"},
        {"date_column": "date"},
    ]
    assert {name for change in changes for name in change} == {f.name for f in dataclasses.fields(on)} - {"enabled"}
    sections = [on, *(dataclasses.replace(on, **change) for change in changes)]  # type: ignore[arg-type]
    hashes = {filter_hashes(FiltersConfig(exact_duplicates=section))["exact-duplicates"] for section in sections}
    assert len(hashes) == len(sections)


def test_filters_that_compare_depend_on_those_before_them() -> None:
    rules, language = RulesConfig(enabled=True), LanguageConfig(enabled=True)
    near = NearConfig(enabled=True)
    alone = filter_hashes(FiltersConfig(near_duplicates=near))
    behind = filter_hashes(FiltersConfig(near_duplicates=near, rules=rules))
    assert list(behind) == ["rules", "near-duplicates"]
    assert alone["near-duplicates"] != behind["near-duplicates"]
    both = filter_hashes(FiltersConfig(rules=rules, language=language))
    assert both["rules"] == behind["rules"]  # a text's rules do not depend on other documents


@pytest.mark.parametrize(
    "setting",
    [
        "rules.sets=[gopher]",
        "rules.sets=[]",
        "language.min_score=2",
        "near_duplicates.bands=0",
        "near_duplicates.keep=best",
    ],
)
def test_settings_that_mean_nothing_are_errors(setting: str) -> None:
    with pytest.raises(ConfigError, match="CONFIG_BAD_VALUE"):
        load_config(None, [f"filters.{setting}"])


def test_a_document_that_a_filter_drops_is_dropped_with_the_filters_reason() -> None:
    row = execute_stored(
        "one two\nthree",
        doc_program="DUPLICATE_TEXT",
        doc_status="FILTERED",
        doc_margin=None,
        chunks=None,
        policy=policy_for("default"),
        dialect="prox",
    )
    assert (row.outcome, row.reason, row.doc_reason) == ("DROPPED", "DUPLICATE_TEXT", "FILTERED")
    assert (row.text, row.words_before, row.words_after) == (None, 3, 0)
