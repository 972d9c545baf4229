from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.errors import ConfigError, ProxError
from spark_prox.programs import (
    AddLine,
    RemoveAll,
    ReplaceText,
    format_program,
    parse_program,
    program_from_pair,
    refine_text,
    remove_lines_program,
)
from tests.unit.programs.cases import document
from tests.unit.programs.strategies import DOCUMENTS, ops_of

DIALECTS = ("prox", "refinex", "ultrax", "rescraper")
ORIGINAL = (
    "Home | News | About\nThe river rose two metres overnight. [edit]\nShare this page\n"
    "Boats may pass again from Monday on, said the harbour office. [edit]\n© 2020 Example"
)
CLEANED = "The river rose two metres overnight.\nBoats may pass again from Monday on, said the harbour office."


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cleaned_text_gives_the_program_that_cleans(dialect: str) -> None:
    pair = program_from_pair(ORIGINAL, CLEANED, dialect=dialect)
    assert pair.exact
    assert pair.accepted
    assert refine_text(ORIGINAL, pair.program, dialect=dialect).text == CLEANED


def test_one_normalize_serves_all_places_that_lose_the_same_string() -> None:
    pair = program_from_pair(ORIGINAL, CLEANED)
    assert [op for op in pair.ops if isinstance(op, ReplaceText)] == [ReplaceText(" [edit]")]


def test_a_string_that_also_stands_elsewhere_is_taken_with_enough_context() -> None:
    original = "the cat sat\nthe dog and the cat ran"
    cleaned = "the cat sat\nthe dog ran"
    for dialect in ("prox", "ultrax"):
        pair = program_from_pair(original, cleaned, dialect=dialect)
        assert pair.text == cleaned


def test_what_was_added_or_reworded_is_left_out_of_deletions() -> None:
    reworded = CLEANED.replace("two metres", "2 m") + "\nRead more soon."
    pair = program_from_pair(ORIGINAL, reworded)
    assert pair.text == CLEANED
    assert not pair.exact
    assert 0.5 < pair.confidence < 0.98
    assert not pair.accepted


def test_what_was_added_or_reworded_is_taken_over_on_demand() -> None:
    reworded = CLEANED.replace("two metres", "2 m") + "\nRead more soon."
    pair = program_from_pair(ORIGINAL, reworded, deletions_only=False, dialect="ultrax")
    assert pair.text == reworded
    assert any(isinstance(op, AddLine) for op in pair.ops)


def test_an_unrelated_text_gives_a_program_without_confidence() -> None:
    pair = program_from_pair(ORIGINAL, "Nothing of this kind was ever written.\nTruly.")
    assert pair.confidence < 0.5
    assert not pair.accepted


def test_an_unchanged_text_gives_a_keep_call() -> None:
    for dialect, keep in (("prox", "keep_chunk()"), ("refinex", "keep_all()"), ("ultrax", "keep_all()")):
        assert program_from_pair(ORIGINAL, ORIGINAL, dialect=dialect).program == keep


@given(DOCUMENTS, st.data())
def test_removed_lines_always_come_back_as_an_exact_program(text: str, data: st.DataObject) -> None:
    lines = text.split("\n")
    keep = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    cleaned = "\n".join(line for line, kept in zip(lines, keep, strict=True) if kept)
    for dialect in DIALECTS:
        pair = program_from_pair(text, cleaned, dialect=dialect)
        assert pair.exact or not text.strip()


@given(DOCUMENTS, DOCUMENTS, st.sampled_from(DIALECTS), st.booleans())
def test_any_pair_gives_a_program_and_exact_means_exact(text: str, cleaned: str, dialect: str, deletions: bool) -> None:
    pair = program_from_pair(text, cleaned, dialect=dialect, deletions_only=deletions)
    assert pair.exact == (refine_text(text, pair.program, dialect=dialect, policy="permissive").text == cleaned)
    assert pair.exact <= pair.accepted
    if deletions and pair.text is not None:
        left = iter(text)
        assert all(character in left for character in pair.text)  # nothing but deletions


def test_cuts_inside_lines_come_back_in_most_documents() -> None:
    rng = random.Random(9)
    exact = 0
    for _ in range(300):
        lines = document(rng, 12).split("\n")
        number = max(range(len(lines)), key=lambda line: len(lines[line]))
        start = rng.randint(0, len(lines[number]) // 2)
        cut = lines[number][:start] + lines[number][start + 9 :]
        cleaned = "\n".join([*lines[:number], cut, *lines[number + 1 :]])
        exact += program_from_pair("\n".join(lines), cleaned).exact
    assert exact > 240


@given(st.data(), st.sampled_from(DIALECTS))
def test_a_written_program_parses_back_to_its_operations(data: st.DataObject, dialect: str) -> None:
    ops = data.draw(ops_of(dialect))
    parsed = parse_program(format_program(ops, dialect), dialect)
    if not ops:
        assert len(parsed.program) == 1
        return
    assert not parsed.errors
    # A string with a backslash also keeps the reading as it was written.
    read = [str(op).partition(", verbatim")[0] for op in parsed.program]
    assert read == [str(op).partition(", verbatim")[0] for op in ops]


def test_lines_are_written_as_ascending_merged_ranges() -> None:
    assert remove_lines_program([7, 2, 3, 3, 1]) == (
        "remove_lines(line_start=1, line_end=3)\nremove_lines(line_start=7, line_end=7)"
    )
    assert remove_lines_program([0, 1], "ultrax") == "remove_lines(1, 2)"
    assert remove_lines_program([]) == "keep_chunk()"


def test_a_written_program_is_read_alike_by_both_readers() -> None:
    text = "\n".join(f"line {number} has a handful of words" for number in range(9))
    program = remove_lines_program([0, 4, 5])
    assert refine_text(text, program, policy="compat").text == refine_text(text, program).text != text


def test_an_operation_without_words_in_a_dialect_is_an_error() -> None:
    with pytest.raises(ProxError, match=r"\[SPARK_PROX.OP_NOT_IN_DIALECT\]"):
        format_program([RemoveAll()], "refinex")
    with pytest.raises(ConfigError, match="DIALECT_UNKNOWN"):
        format_program([], "klingon")
