from __future__ import annotations

import pytest

from spark_prox.errors import ConfigError, ProxError
from spark_prox.programs import (
    CallStatus,
    ChunkProgram,
    Code,
    Edit,
    Outcome,
    apply_edits,
    explain_program,
    policy_for,
    refine_document,
    refine_text,
    restore_text,
)

TEXT = "\n".join(f"line {number} says something of its own" for number in range(10))
LINES = TEXT.split("\n")


def without(*lines: int) -> str:
    return "\n".join(line for number, line in enumerate(LINES) if number not in lines)


def chunk(program: str, first: int, count: int, *, failed: bool = False) -> ChunkProgram:
    return ChunkProgram(program=program, first_line=first, line_count=count, failed=failed)


def statuses(text: str, program: str, **options: str) -> list[tuple[CallStatus, Code | None, int]]:
    return [(call.status, call.code, call.count) for call in refine_text(text, program, **options).calls]  # type: ignore[arg-type]


def test_outcomes_and_statuses_compare_with_plain_strings() -> None:
    refinement = refine_text(TEXT, "remove_lines(0, 0)")
    assert refinement.outcome == "EDITED"
    assert f"{refinement.outcome} {refinement.reason} {refinement.calls[0].status}" == "EDITED EDITS applied"


def test_every_call_gets_a_status_a_code_and_a_count() -> None:
    program = (
        "remove_lines(0, 1)\nremove_lines(1, 1)\nremove_lines(8, 12)\nremove_lines(30, 31)\nremove_lines(5, 4)\n"
        'normalize("says")\nnormalize("absent")\nnormalize("")\nfoo()\nremove_lines(2'
    )
    applied, none, malformed = CallStatus.APPLIED, CallStatus.NO_MATCH, CallStatus.MALFORMED
    assert statuses(TEXT, program, policy="permissive") == [
        (applied, None, 2),
        (applied, Code.ALREADY_REMOVED, 0),
        (applied, Code.CLAMPED, 2),
        (CallStatus.OUT_OF_RANGE, Code.OUT_OF_RANGE, 0),
        (none, Code.EMPTY_RANGE, 0),
        (applied, None, 10),
        (none, Code.ABSENT, 0),
        (none, Code.EMPTY_SOURCE, 0),
        (malformed, Code.UNKNOWN_CALL, 0),
        (malformed, Code.TRUNCATED, 0),
    ]


def test_an_edit_says_where_it_is_what_it_took_and_which_call_made_it() -> None:
    refinement = refine_text(TEXT, 'keep_chunk()\nnormalize("line 3", "third")\nremove_lines(8, 9)')
    assert refinement.edits == (
        Edit(kind="replace", line=3, start=TEXT.index("line 3"), stop=TEXT.index("line 3") + 6, removed="line 3",
             inserted="third", chunk=0, call=1),
        Edit(kind="remove_lines", line=8, start=TEXT.index("\nline 8"), stop=len(TEXT),
             removed=f"\n{LINES[8]}\n{LINES[9]}", inserted="", chunk=0, call=2),
    )  # fmt: skip


def test_each_removed_line_is_recorded_under_the_first_call_that_removed_it() -> None:
    refinement = refine_text(TEXT, "remove_lines(3, 5)\nremove_lines(2, 6)\nremove_lines(9, 9)")
    assert [(edit.line, edit.call, edit.removed.count("\n")) for edit in refinement.edits] == [
        (2, 1, 1),
        (3, 0, 3),
        (6, 1, 1),
        (9, 2, 1),
    ]
    assert refinement.text == without(2, 3, 4, 5, 6, 9)


def test_normalize_acts_inside_its_own_chunk_only() -> None:
    refinement = refine_document(TEXT, [chunk('normalize("says", "SAYS")', 2, 3), chunk("keep_chunk()", 5, 5)])
    assert refinement.text is not None
    assert [number for number, line in enumerate(refinement.text.split("\n")) if "SAYS" in line] == [2, 3, 4]


def test_normalize_acts_on_the_whole_document_where_the_policy_says_so() -> None:
    rules = policy_for("default", scope="document")
    refinement = refine_document(TEXT, [chunk('normalize("says", "SAYS")', 2, 3)], policy=rules)
    assert refinement.text == TEXT.replace("says", "SAYS")


def test_a_call_on_lines_of_another_chunk_is_out_of_range() -> None:
    refinement = refine_document(TEXT, [chunk("keep_chunk()", 0, 5), chunk("remove_lines(0, 1)", 5, 5)])
    assert (refinement.text, refinement.reason) == (TEXT, Code.NO_EFFECT)
    assert [(error.code, error.chunk, error.call) for error in refinement.errors] == [(Code.OUT_OF_RANGE, 1, 0)]


def test_a_range_over_the_chunks_border_is_cut_to_the_chunk() -> None:
    refinement = refine_document(TEXT, [chunk("remove_lines(3, 7)", 0, 5), chunk("keep_chunk()", 5, 5)])
    assert refinement.text == without(3, 4)
    assert refinement.error_count == 1


def test_one_chunk_may_be_removed_whole_but_not_the_document() -> None:
    wipe = "remove_lines(all=True)"
    refinement = refine_document(TEXT, [chunk(wipe, 0, 5), chunk("keep_chunk()", 5, 5)])
    assert refinement.text == without(0, 1, 2, 3, 4)
    refinement = refine_document(TEXT, [chunk(wipe, 0, 5), chunk(wipe, 5, 5)])
    assert (refinement.text, refinement.outcome, refinement.reason) == (TEXT, "REFUSED", "DOCUMENT_WIPED")
    assert {call.status for call in refinement.calls} == {CallStatus.REFUSED}
    dropping = policy_for("default", when_wiped="drop")
    assert refine_document(TEXT, [chunk(wipe, 0, 5), chunk(wipe, 5, 5)], policy=dropping).text is None


def test_a_refused_chunk_leaves_the_others_alone() -> None:
    refinement = refine_document(
        TEXT, [chunk("foo()\nbar()\nremove_lines(0, 0)", 0, 5), chunk("remove_lines(9, 9)", 5, 5)]
    )
    assert refinement.text == without(9)
    assert (refinement.reason, refinement.refused_chunks) == (Code.PARTLY_REFUSED, 1)


def test_a_chunk_that_loses_too_many_words_is_refused_where_the_policy_says_so() -> None:
    rules = policy_for("default", max_removed_of_chunk=0.5)
    programs = [chunk("remove_lines(0, 3)", 0, 5), chunk("remove_lines(9, 9)", 5, 5)]
    refinement = refine_document(TEXT, programs, policy=rules)
    assert refinement.text == without(9)
    assert refinement.calls[0].code is Code.CHUNK_WIPED


def test_a_failed_chunk_stays_as_it_is() -> None:
    refinement = refine_document(
        TEXT, [chunk("remove_lines(0, 0)", 0, 5, failed=True), chunk("remove_lines(9, 9)", 5, 5)]
    )
    assert (refinement.text, refinement.reason, refinement.failed_chunks) == (without(9), Code.PARTLY_FAILED, 1)
    refinement = refine_document(TEXT, [chunk("", 0, 5, failed=True), chunk("keep_chunk()", 5, 5)])
    assert (refinement.outcome, refinement.reason) == ("KEPT", "PARTLY_FAILED")
    refinement = refine_document(TEXT, [chunk("", 0, 10, failed=True)])
    assert (refinement.outcome, refinement.reason) == ("FAILED", "NO_PROGRAM")
    assert refine_document(TEXT, []).outcome == "FAILED"


def test_a_line_the_model_is_unsure_of_stays_and_the_rest_of_the_call_is_applied() -> None:
    rules = policy_for("default", min_remove_margin=1.0)
    margins = {0: -3.0, 1: -0.5, 2: -1.0, 3: 2.0}  # line 2 is just sure enough
    refinement = refine_document(
        TEXT, [chunk("remove_lines(0, 2)\nremove_lines(3, 3)", 0, 10)], policy=rules, line_margins=margins
    )
    assert refinement.text == without(0, 2)
    assert [(call.status, call.code, call.count) for call in refinement.calls] == [
        (CallStatus.APPLIED, Code.UNSURE, 2),
        (CallStatus.REFUSED, Code.UNSURE, 0),
    ]
    refinement = refine_document(TEXT, [chunk("remove_lines(3, 3)", 0, 10)], policy=rules, line_margins=margins)
    assert (refinement.outcome, refinement.reason) == (Outcome.REFUSED, Code.UNSURE)


def test_a_short_line_may_have_a_margin_of_its_own() -> None:
    text = "Home\nA line of more than three words\nAbout us"
    margins = {0: -0.6, 1: -0.6, 2: -0.4}
    program = [chunk("remove_lines(0, 2)", 0, 3)]
    rules = policy_for("default", min_remove_margin=1.0, min_remove_margin_short=0.5, short_line_words=4)
    refinement = refine_document(text, program, policy=rules, line_margins=margins)
    assert refinement.text == "A line of more than three words\nAbout us"
    rules = policy_for("default", min_remove_margin=1.0)
    assert refine_document(text, program, policy=rules, line_margins=margins).text == text


@pytest.mark.parametrize("lines", [(0,), (9,), (0, 9), (8, 9), (0, 1), (4,), (7, 9), (0, 2, 4, 6, 8)])
def test_removed_lines_take_their_newlines_with_them(lines: tuple[int, ...]) -> None:
    program = "\n".join(f"remove_lines({line}, {line})" for line in lines)
    assert refine_text(TEXT, program).text == without(*lines)


def test_carriage_returns_and_other_line_ends_are_not_lines() -> None:
    text = "one\r\ntwo\u2028still two\x0band two\r\nthree and more"
    assert refine_text(text, "remove_lines(1, 1)").text == "one\r\nthree and more"


def test_replacements_run_in_order_and_see_each_others_result() -> None:
    refinement = refine_text("x foo bar baz", 'normalize("foo", "bar")\nnormalize("bar bar", "q")')
    assert refinement.text == "x q baz"
    (edit,) = refinement.edits
    assert (edit.removed, edit.inserted, edit.call) == ("foo bar", "q", 1)


def test_replacements_that_only_touch_stay_two_edits() -> None:
    edits = refine_text("ab and more", 'normalize("a", "x")\nnormalize("b", "y")').edits
    assert [(edit.removed, edit.inserted, edit.call) for edit in edits[:2]] == [("a", "x", 0), ("b", "y", 1)]


def test_a_twentieth_of_the_words_is_a_wiped_document_and_a_little_more_is_not() -> None:
    for left, outcome in ((11, "DROPPED"), (12, "EDITED")):
        text = "\n".join(("kept " * left, "gone " * (220 - left)))
        assert refine_text(text, "remove_lines(start=1, end=1)", policy="compat").outcome == outcome


def test_replacements_that_undo_each_other_keep_the_document() -> None:
    refinement = refine_text("a b c a b", 'normalize("a b", "b")\nnormalize("b", "a b")')
    assert (refinement.outcome, refinement.edits) == ("KEPT", ())


def test_a_replacement_over_a_removed_line_is_lost_with_it() -> None:
    refinement = refine_text("one\ntwo\nthree\nfour", "normalize('two\\nthree', 'X')\nremove_lines(2, 2)")
    assert refinement.text == "one\ntwo\nfour"


def test_very_many_replacements_are_one_edit_and_still_exact() -> None:
    text = "a b " * 50_000
    refinement = refine_text(text, 'normalize("a ")')
    assert refinement.text == "b " * 50_000
    (edit,) = refinement.edits
    assert edit.stop - edit.start <= len(text)
    assert restore_text(refinement.text, [edit]) == text
    assert refinement.calls[0].count == 50_000


def test_a_text_cannot_grow_without_limit() -> None:
    text = "a" * 2000 + " b"
    refinement = refine_text(text, f'normalize("a", "{"a" * 10_000}")')
    assert (refinement.text, refinement.reason) == (text, Code.GROWTH)
    doubling = "\n".join(f'normalize("a", "aa{number}")' for number in range(200))
    for policy in ("default", "permissive", "compat"):
        after = refine_text(text, doubling.replace('"a"', 'x="a"').replace(' "aa', ' y="aa'), policy=policy).text
        assert len(after or "") <= policy_for(policy).max_text_chars


def test_repeating_the_same_calls_over_and_over_is_refused() -> None:
    loop = 'normalize("line 1")\nnormalize("line 2")\n'
    assert refine_text(TEXT, loop * 4).outcome == "EDITED"
    assert refine_text(TEXT, loop * 5).reason == "DEGENERATE"
    assert refine_text(TEXT, "remove_lines(1, 1)\n" * 5 + "remove_lines(2").reason == "DEGENERATE"
    assert refine_text(TEXT, "keep_chunk()\n" * 50).outcome == "KEPT"
    assert refine_text(TEXT, "\n".join(f"remove_lines({line}, {line})" for line in range(8))).outcome == "EDITED"


def test_replacements_in_a_line_look_at_the_original_line_and_do_not_overlap() -> None:
    text = "one two three\nfour"
    program = "replace_str(1, 'two', 'TWO')\nreplace_str(1, 'two three', 'x')\nreplace_str(1, 'TWO', 'no')"
    refinement = refine_text(text, program, dialect="ultrax")
    assert refinement.text == "one TWO three\nfour"
    assert [call.code for call in refinement.calls] == [None, Code.OVERLAP, Code.ABSENT]


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("add_line(1, 2, 'b')\nadd_line(1, 1, 'a')", "one\na\nb\ntwo\nthree"),
        ("remove_lines(2, 3)\nadd_line(2, 1, 'new')", "one\nnew"),
        ("remove_lines(2, 2)\nadd_line(2, 1, 'new')", "one\nnew\nthree"),
        ("remove_lines(1, 2)\nadd_line(1, 1, 'new')", "new\nthree"),
        ("remove_lines(1, 3)\nadd_line(3, 1, 'new')", "new"),
        ("add_line(0, 1, 'top')\nadd_line(3, 1, 'end')", "top\none\ntwo\nthree\nend"),
    ],
)  # fmt: skip
def test_an_added_line_stands_where_its_base_line_is_or_was(program: str, text: str) -> None:
    refinement = refine_text("one\ntwo\nthree", program, dialect="ultrax", policy="permissive")
    assert refinement.text == text
    assert apply_edits("one\ntwo\nthree", refinement.edits) == text


def test_a_whole_chunk_is_dropped_only_by_a_verdict_that_stands_alone() -> None:
    programs = [chunk("remove_all()", 0, 5), chunk("keep_all()", 5, 5)]
    refinement = refine_document(TEXT, programs, dialect="ultrax")
    assert refinement.text == without(0, 1, 2, 3, 4)
    refinement = refine_document(TEXT, [chunk("remove_all()", 0, 5), chunk("remove_all()", 5, 5)], dialect="ultrax")
    assert (refinement.outcome, refinement.reason) == ("DROPPED", "DROP_CALL")


def test_edits_do_not_fit_another_text() -> None:
    edits = refine_text(TEXT, "remove_lines(1, 1)").edits
    with pytest.raises(ProxError, match=r"\[SPARK_PROX.EDITS_MISMATCH\]") as caught:
        apply_edits(TEXT[9:], edits)
    assert "says" not in str(caught.value)
    with pytest.raises(ProxError, match=r"\[SPARK_PROX.EDITS_MISMATCH\]"):
        restore_text("x", refine_text(TEXT, 'normalize("says", "SAYS")').edits)


def test_messages_and_errors_never_quote_the_document() -> None:
    refinement = refine_text("secret words stand here", 'normalize("secret", 3)\nsecret("x")\nsecret')
    assert refinement.errors
    assert "secret" not in repr(refinement.errors)
    assert "stand here" not in repr(refinement)


def test_an_unknown_stage_or_dialect_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError, match=r"\[SPARK_PROX.STAGE_UNKNOWN\]"):
        refine_text(TEXT, "", stage="page")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"\[SPARK_PROX.DIALECT_UNKNOWN\]"):
        refine_text(TEXT, "", dialect="klingon")


def test_explaining_a_program_gives_a_row_for_each_call_and_each_stray_text() -> None:
    rows = explain_program(TEXT, "Sure:\nremove_lines(0, 0)\nfoo(1)")
    assert [(row.call, row.line, row.source, row.status, row.code) for row in rows] == [
        (None, 0, "Sure:", None, "STRAY_TEXT"),
        (0, 1, "remove_lines(0, 0)", "applied", None),
        (1, 2, "foo(1)", "malformed", "UNKNOWN_CALL"),
    ]
    assert {row.outcome for row in rows} == {"EDITED"}
    assert explain_program(" ", "remove_lines(0, 0)")[0].code == "EMPTY_TEXT"
    assert explain_program(TEXT, "drop_doc()", stage="doc")[0].outcome == "DROPPED"
