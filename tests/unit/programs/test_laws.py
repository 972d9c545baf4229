"""Laws of executing that hold for every document and every program."""

from __future__ import annotations

import pickle
import random

from hypothesis import given
from hypothesis import strategies as st

from spark_prox.programs import (
    POLICIES,
    CallStatus,
    ChunkProgram,
    Outcome,
    Policy,
    Refinement,
    apply_edits,
    format_program,
    policy_for,
    refine_document,
    refine_text,
    remove_lines_program,
    restore_text,
)
from spark_prox.programs.refine import _refine_with_records
from tests.unit.programs.cases import document, upstream_program
from tests.unit.programs.strategies import DOCUMENTS, PROGRAMS, ops_of

POLICY = st.sampled_from(
    [
        *POLICIES.values(),
        policy_for("default", max_removed_of_chunk=0.5),
        policy_for("default", scope="document"),
        policy_for("permissive", when_wiped="drop", max_removed_of_document=0.9, min_words_after=3),
    ]
)
DIALECT = st.sampled_from(["prox", "refinex", "ultrax", "rescraper"])


def assert_edits_lead_there_and_back(refinement: Refinement) -> None:
    if refinement.text is None:
        assert refinement.outcome is Outcome.DROPPED
        assert refinement.edits == ()
        return
    assert apply_edits(refinement.original, refinement.edits) == refinement.text
    assert restore_text(refinement.text, refinement.edits) == refinement.original
    assert (refinement.outcome is Outcome.EDITED) == (refinement.text != refinement.original) == bool(refinement.edits)
    for edit in refinement.edits:
        assert refinement.original[edit.start : edit.stop] == edit.removed
        assert 0 <= edit.line <= refinement.original.count("\n", 0, edit.start + 1)


@given(DOCUMENTS, PROGRAMS, POLICY)
def test_edits_lead_from_the_original_to_the_refined_text_and_back(text: str, program: str, policy: Policy) -> None:
    assert_edits_lead_there_and_back(refine_text(text, program, policy=policy))


CHUNKS = st.lists(st.builds(ChunkProgram, PROGRAMS, st.integers(0, 8), st.integers(0, 9)), max_size=4)


@given(DOCUMENTS, CHUNKS, POLICY)
def test_edits_lead_there_and_back_where_chunks_overlap(text: str, chunks: list[ChunkProgram], policy: Policy) -> None:
    assert_edits_lead_there_and_back(refine_document(text, chunks, policy=policy))


def test_of_overlapping_replacements_the_first_stands() -> None:
    """A replacement that was passed over must not hide what lies behind it: (0, 10) (3, 6) (7, 9)."""
    chunks = [
        ChunkProgram('normalize("0123456789", "x")', 0, 1),
        ChunkProgram('normalize("345", "y")', 0, 1),
        ChunkProgram('normalize("78", "z")', 0, 1),
        ChunkProgram('normalize("ab", "w")', 0, 1),
    ]
    refinement = refine_document("0123456789ab and some more words", chunks)
    assert refinement.text == "xw and some more words"
    assert_edits_lead_there_and_back(refinement)


@given(st.data(), DOCUMENTS, DIALECT, POLICY)
def test_edits_lead_there_and_back_in_every_dialect(
    data: st.DataObject, text: str, dialect: str, policy: Policy
) -> None:
    program = format_program(data.draw(ops_of(dialect)), dialect)
    assert_edits_lead_there_and_back(refine_text(text, program, dialect=dialect, policy=policy))


@given(DOCUMENTS, st.lists(PROGRAMS, min_size=1, max_size=3), POLICY, st.data())
def test_edits_lead_there_and_back_over_several_chunks(
    text: str, programs: list[str], policy: Policy, data: st.DataObject
) -> None:
    lines = text.count("\n") + 1
    cuts = sorted(data.draw(st.lists(st.integers(0, lines), min_size=len(programs) - 1, max_size=len(programs) - 1)))
    borders = [0, *cuts, lines]
    chunks = [
        ChunkProgram(
            program=program,
            first_line=borders[number],
            line_count=borders[number + 1] - borders[number],
            failed=data.draw(st.booleans()),
        )
        for number, program in enumerate(programs)
    ]
    margins = data.draw(st.none() | st.dictionaries(st.integers(0, lines), st.floats(-1, 1), max_size=lines))
    refinement = refine_document(text, chunks, policy=policy, line_margins=margins)
    assert_edits_lead_there_and_back(refinement)
    assert refinement.chunks == len(programs)
    assert len(refinement.calls) == refinement.call_count


@given(DOCUMENTS, PROGRAMS, POLICY)
def test_the_short_way_and_the_long_way_give_the_same(text: str, program: str, policy: Policy) -> None:
    short = refine_text(text, program, policy=policy)
    long = _refine_with_records(text, program, "prox", policy)
    assert (short.text, short.outcome, short.reason) == (long.text, long.outcome, long.reason)
    assert (short.edits, short.calls, short.errors) == (long.edits, long.calls, long.errors)


def test_the_short_way_is_taken_by_plain_programs_and_gives_the_same() -> None:
    rng = random.Random(11)
    taken = 0
    for _ in range(2000):
        text = document(rng, 40)
        program = upstream_program(rng, text)
        for name in ("default", "compat"):
            rules = POLICIES[name]
            short = refine_text(text, program, policy=rules)
            long = _refine_with_records(text, program, "prox", rules)
            assert (short.text, short.outcome, short.reason) == (long.text, long.outcome, long.reason)
            taken += callable(short.record)
    assert taken > 600


@given(DOCUMENTS, PROGRAMS, POLICY)
def test_counts_are_those_of_the_texts(text: str, program: str, policy: Policy) -> None:
    refinement = refine_text(text, program, policy=policy)
    after = refinement.text
    assert (refinement.words_before, refinement.lines_before, refinement.chars_before) == (
        len(text.split()),
        text.count("\n") + 1,
        len(text),
    )
    assert (refinement.words_after, refinement.lines_after, refinement.chars_after) == (
        (0, 0, 0) if after is None else (len(after.split()), after.count("\n") + 1, len(after))
    )


@given(DOCUMENTS, PROGRAMS, PROGRAMS)
def test_a_chunk_program_touches_no_line_outside_its_chunk(text: str, program: str, other: str) -> None:
    lines = text.split("\n")
    middle = len(lines) // 2
    for first, stop in ((0, middle), (middle, len(lines))):
        chunk = ChunkProgram(program=program + other, first_line=first, line_count=stop - first)
        refined = refine_document(text, [chunk], policy="permissive").text
        assert refined is not None
        left = refined.split("\n")
        assert left[:first] == lines[:first]
        if stop < len(lines):
            assert left[len(left) - (len(lines) - stop) :] == lines[stop:]


@given(DOCUMENTS, st.lists(st.integers(0, 9), max_size=6), st.dictionaries(st.integers(0, 9), st.floats(-2, 2)))
def test_a_line_that_the_model_is_unsure_of_is_never_removed(
    text: str, doomed: list[int], margins: dict[int, float]
) -> None:
    lines = text.split("\n")
    doomed = [line for line in doomed if line < len(lines)]
    chunk = ChunkProgram(program=remove_lines_program(doomed), first_line=0, line_count=len(lines))
    rules = policy_for("permissive", min_remove_margin=0.5)
    refinement = refine_document(text, [chunk], policy=rules, line_margins=margins)
    sure = {line for line in doomed if -margins.get(line, -9.0) >= 0.5}
    wanted = "\n".join(line for number, line in enumerate(lines) if number not in sure)
    if text.split():
        assert refinement.text == wanted
        for call in refinement.calls:
            assert call.status in (CallStatus.APPLIED, CallStatus.REFUSED)


@given(DOCUMENTS, st.sets(st.integers(0, 9)), DIALECT)
def test_a_written_removal_removes_exactly_its_lines(text: str, doomed: set[int], dialect: str) -> None:
    lines = text.split("\n")
    doomed = {line for line in doomed if line < len(lines)}
    program = remove_lines_program(doomed, dialect)
    refined = refine_text(text, program, dialect=dialect, policy="permissive").text
    if text.split():
        assert refined == "\n".join(line for number, line in enumerate(lines) if number not in doomed)


def test_default_gives_what_compat_gives_where_no_defect_and_no_limit_is_met() -> None:
    rng = random.Random(3)
    agreed = 0
    for _ in range(1500):
        text = document(rng, 40)
        program = upstream_program(rng, text, 3)
        compat = refine_text(text, program, policy="compat")
        default = refine_text(text, program, policy="default")
        if compat.outcome is Outcome.EDITED and default.outcome is Outcome.EDITED and not default.error_count:
            assert default.text == compat.text
            agreed += 1
    assert agreed > 300


@given(DOCUMENTS, PROGRAMS, POLICY)
def test_a_refinement_survives_pickling(text: str, program: str, policy: Policy) -> None:
    refinement = refine_text(text, program, policy=policy)
    copy = pickle.loads(pickle.dumps(refinement))
    assert copy == refinement
    assert (copy.edits, copy.calls, copy.errors) == (refinement.edits, refinement.calls, refinement.errors)
