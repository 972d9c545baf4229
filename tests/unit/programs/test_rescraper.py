"""Dialect `rescraper`: what it reads, and that kept text is copied whatever a program says."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.programs import (
    CallStatus,
    ChunkProgram,
    Code,
    DropAll,
    KeepAll,
    Outcome,
    RemoveLines,
    ReplaceInLine,
    Rewrite,
    apply_edits,
    decide_document,
    explain_program,
    format_program,
    mark_cut,
    parse_program,
    policy_for,
    refine_document,
    refine_text,
    restore_text,
    shift_lines,
)
from tests.unit.programs.strategies import DOCUMENTS

REWRITING = policy_for("default", allow_rewrite=True, max_removed_of_document=None)
TAGS = ["<keep>", "<edit>", "<delete>", "<rewrite>", "<extract>", "<cut>", "<KEEP>", "<keep", "```"]
LINES = st.one_of(
    st.sampled_from(TAGS),
    st.sampled_from(
        ["rm", "rm 1-", "sub", "sub 1", "sub 1:", 'sub 1: "', "rm 1 2", "rm -1", "<think>", "</think>", ""]
    ),
    st.builds("rm {}".format, st.integers(0, 12)),
    st.builds("rm {}-{}".format, st.integers(0, 12), st.integers(0, 12) | st.just(10**40)),
    st.builds('sub {}: "{}"'.format, st.integers(0, 9), st.text('ab "\\n\n<>', max_size=4)),
    st.builds("{}".format, st.text("ab <>:rm", max_size=9)),
)
PROGRAMS = st.lists(LINES, max_size=12).map("\n".join) | st.text(max_size=40)


def refine(text: str, program: str, policy: str = "default"):  # type: ignore[no-untyped-def]
    return refine_text(text, program, dialect="rescraper", policy=policy)


def is_subsequence(short: Iterator[str] | list[str] | str, long: list[str] | str) -> bool:
    rest = iter(long)
    return all(item in rest for item in short)


@given(DOCUMENTS, PROGRAMS)
def test_no_program_puts_anything_into_a_document(text: str, program: str) -> None:
    refinement = refine(text, program)
    if refinement.text is None:
        return
    assert is_subsequence(refinement.text, text)
    if not any(call.name == "sub" for call in refinement.calls):
        assert is_subsequence(refinement.text.split("\n"), text.split("\n"))
    assert apply_edits(text, refinement.edits) == refinement.text
    assert restore_text(refinement.text, refinement.edits) == text
    assert all(edit.inserted == "" for edit in refinement.edits)


@given(DOCUMENTS, PROGRAMS)
def test_where_a_policy_allows_rewrites_only_a_rewrite_puts_in_text(text: str, program: str) -> None:
    refinement = refine_text(text, program, dialect="rescraper", policy=REWRITING)
    if refinement.text is None or is_subsequence(refinement.text, text):
        return
    [call] = refinement.calls
    assert isinstance(call.op, Rewrite)
    assert refinement.text == call.op.content
    assert call.op.content in program or "think" in program
    assert restore_text(refinement.text, refinement.edits) == text


@given(DOCUMENTS, st.lists(st.tuples(PROGRAMS, st.integers(0, 6), st.integers(0, 9)), max_size=3), st.booleans())
def test_chunks_that_overlap_or_lie_outside_do_no_harm(
    text: str, chunks: list[tuple[str, int, int]], rewrites: bool
) -> None:
    programs = [ChunkProgram(program, first, count) for program, first, count in chunks]
    policy = REWRITING if rewrites else "default"
    refinement = refine_document(text, programs, dialect="rescraper", policy=policy)
    if refinement.text is not None:
        assert apply_edits(text, refinement.edits) == refinement.text
        assert rewrites or is_subsequence(refinement.text, text)


@given(DOCUMENTS, PROGRAMS)
def test_explaining_and_deciding_never_raise(text: str, program: str) -> None:
    explain_program(text, program, dialect="rescraper")
    decide_document(program, dialect="rescraper")
    shift_lines(program, 7, "rescraper")


@pytest.mark.parametrize(
    ("program", "ops"),
    [
        ("<keep>\n<extract>\nrm 2-3\n<keep>", [KeepAll(), RemoveLines(1, 2)]),
        ("  <keep> \r\n<extract>\r\nrm 2 - 3\r\n<keep>\r\n", [KeepAll(), RemoveLines(1, 2)]),
        ('<edit>\nsub 1: "a \\"b\\""', [ReplaceInLine(0, 'a "b"', "", ('a \\"b\\"', ""), unique=False)]),
        ('<edit>\nsub 1: "say "hi" now"', [ReplaceInLine(0, 'say "hi" now', unique=False)]),
        ("<delete>\n<extract>\n<rewrite>\nnew", [Rewrite("new")]),
        ("<rewrite>\n<extract>\nrm 1\nnew text\nin lines", [Rewrite("new text\nin lines")]),
        ("<rewrite>\nnew\n<rewrite>\ntext", [Rewrite("new\n<rewrite>\ntext")]),
        ("<delete>\n<extract>\nrm 1-9", [DropAll()]),
        ("```\n<keep>\n```", [KeepAll()]),
        ('<think>so\n<edit>\n<extract>\n<edit>\nsub 1: "x"', []),
        ('<edit>\nsub 1: "<think>"', [ReplaceInLine(0, "<think>", unique=False)]),
        ("<delete>\nrm 1\n</think>\n<keep>", [KeepAll()]),
        ("rm 99999999999999999999999", [RemoveLines(10**15 - 1, 10**15 - 1)]),
    ],
)
def test_a_program_says_what_its_lines_say(program: str, ops: list[object]) -> None:
    assert list(parse_program(program, "rescraper").program) == ops


def test_a_written_program_has_the_models_form() -> None:
    ops = [RemoveLines(0, 0), RemoveLines(14, 17), ReplaceInLine(8, "a"), RemoveLines(12, 12)]
    written = format_program(ops, "rescraper")
    assert written == '<edit>\n<extract>\nrm 1\nrm 15-18\n<edit>\nsub 9: "a"\nrm 13'
    assert format_program([Rewrite("new")], "rescraper") == "<rewrite>\n<extract>\n<rewrite>\nnew"
    assert format_program([], "rescraper") == "<keep>\n<extract>\n<keep>"


def test_ids_outside_the_chunk_and_huge_ranges_touch_nothing_else() -> None:
    text = "\n".join(f"line {number} of the page" for number in range(9))
    program = f"<keep>\n<extract>\nrm 5-{10**12}\n<keep>"
    refinement = refine_document(text, [ChunkProgram(program, 0, 6)], dialect="rescraper")
    assert refinement.text == "\n".join(text.split("\n")[:4] + text.split("\n")[6:])
    assert [error.code for error in refinement.errors] == [Code.CLAMPED]


def test_a_loop_and_an_endless_list_are_refused() -> None:
    text = "\n".join(f"line {number} of the page" for number in range(40))
    assert refine(text, "<keep>\n<extract>\n" + "rm 3\n" * 60).reason == Code.DEGENERATE
    assert (
        refine(text, "<keep>\n<extract>\n" + "\n".join(f"rm {n}" for n in range(11_000))).reason == Code.TOO_MANY_CALLS
    )


def test_a_rewrite_is_bounded_as_any_growth_is() -> None:
    text = "The river rose two metres overnight and the bridge was closed."
    rules = policy_for("default", allow_rewrite=True)
    program = "<rewrite>\n<extract>\n<rewrite>\n"
    assert (
        refine_text(text, program + "The bridge was closed.", dialect="rescraper", policy=rules).outcome
        is Outcome.EDITED
    )
    grown = refine_text(text, program + "river " * 400, dialect="rescraper", policy=rules)
    assert (grown.outcome, grown.reason, grown.calls[0].status) == (Outcome.REFUSED, Code.GROWTH, CallStatus.REFUSED)


def test_a_chunk_that_is_rewritten_leaves_its_neighbours_alone() -> None:
    text = "a b c\nd e f\ng h i\nj k l"
    chunks = [
        ChunkProgram("<keep>\n<extract>\nrm 1\n<keep>", 0, 2),
        ChunkProgram("<rewrite>\n<extract>\n<rewrite>\nnew\nlines", 2, 2),
    ]
    refinement = refine_document(text, chunks, dialect="rescraper", policy="permissive")
    assert refinement.text == "d e f\nnew\nlines"
    assert [(edit.kind, edit.line, edit.chunk) for edit in refinement.edits] == [
        ("remove_lines", 0, 0),
        ("rewrite", 2, 1),
    ]
    refused = refine_document(text, chunks, dialect="rescraper")
    assert (refused.text, refused.reason) == ("d e f\ng h i\nj k l", Code.PARTLY_REFUSED)


def test_the_mark_of_a_cut_makes_the_line_before_it_count_for_nothing() -> None:
    assert mark_cut("rm 1", "rescraper") == "rm 1\n<cut>"
    assert mark_cut("keep_chunk(", "prox") == "keep_chunk("
    cut = mark_cut("<edit>\n<extract>\nrm 1\n<edit>\nrm 2", "rescraper")
    assert parse_program(cut, "rescraper").program == (RemoveLines(0, 0),)
    assert parse_program(mark_cut("<delete>", "rescraper"), "rescraper").program == (DropAll(),)
    assert (
        refine("a b\nc d", mark_cut("<rewrite>\n<extract>\n<rewrite>\nhalf a", "rescraper"), "permissive").text
        == "a b\nc d"
    )


def test_numbers_are_shifted_and_strings_are_not() -> None:
    program = '<edit>\n<extract>\nrm 1-2\n<edit>\nsub 3: "12 comments"\nrm <lid:4>'
    shifted = '<edit>\n<extract>\nrm 101-102\n<edit>\nsub 103: "12 comments"\nrm <lid:104>'
    assert shift_lines(program, 100, "rescraper") == shifted


@pytest.mark.parametrize(("program", "verdict"), [("drop_doc()", "drop"), ("keep_doc()", "keep"), ("<delete>", "drop")])
def test_a_verdict_may_be_in_the_words_of_prox(program: str, verdict: str) -> None:
    assert decide_document(program, dialect="rescraper").verdict == verdict
    if program.endswith("()"):
        assert decide_document(program, dialect="refinex").verdict == verdict


HOSTILE = {
    "tags": "<keep>\n<delete>\n",
    "marks of thoughts in a line": "</think>",
    "open thoughts": "<think>\n",
    "quoted marks": 'sub 1: "<think>"\n',
    "removals": "rm 1-99999999\n",
    "strings": 'sub 1: "w"\n',
    "quotes": 'sub 1: "',
    "digits": "rm 9",
    "prose": "a b c\n",
    "blanks": " \t",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_long_hostile_program_is_read_in_one_go(name: str) -> None:
    """Quadratic time would be minutes: the test's own limit is the suite's."""
    program = "<edit>\n<extract>\n" + HOSTILE[name] * (400_000 // len(HOSTILE[name]))
    refinement = refine("w " * 100_000 + "\nx", program)
    assert refinement.text is None or is_subsequence(refinement.text, refinement.original)


def test_many_programs_of_random_lines_keep_the_law() -> None:
    rng = random.Random(5)
    pool = [*TAGS[:6], "rm 1", "rm 2-4", "rm 9", 'sub 2: "b"', "text", "<think>", "</think>"]
    text = "a b c\nb b b\nc\n\nd e\nf"
    seen = set()
    for _ in range(3000):
        refinement = refine(text, "\n".join(rng.choices(pool, k=rng.randint(0, 8))))
        seen.add(refinement.outcome)
        assert refinement.text is None or is_subsequence(refinement.text, text)
    assert seen == set(Outcome)
