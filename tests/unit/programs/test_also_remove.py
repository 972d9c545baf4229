from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.execution import RefinedRow, StoredChunk, execute_stored
from spark_prox.programs import apply_edits, policy_for, restore_text
from spark_prox.programs.also_remove import FILTER_CHUNK, also_remove, also_removed
from spark_prox.programs.refine import ChunkProgram, refine_document
from spark_prox.programs.write import remove_lines_program

TEXT = "menu\nA story of the town.\nlinks\nIt ends here.\nfooter"


def execute(
    program: str | None, line_program: str | None, *, text: str = TEXT, policy: str = "default", doc: str = "keep_doc()"
) -> RefinedRow:
    chunk = StoredChunk(0, 1, 0, text.count("\n") + 1, program, "OK")
    return execute_stored(
        text,
        doc_program=doc,
        doc_status="OK",
        doc_margin=None,
        chunks=[] if program is None else [chunk],
        policy=policy_for(policy),
        dialect="prox",
        line_program=line_program,
    )


@given(
    st.lists(st.text("ab ", max_size=4), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.sets(st.integers(0, 7)),
)
def test_both_removals_are_the_union_and_every_edit_is_on_record(
    lines: list[str], by_model: set[int], by_filter: set[int]
) -> None:
    text = "\n".join([*lines, "the last one"])
    count = len(lines) + 1
    by_model, by_filter = {n for n in by_model if n < count}, {n for n in by_filter if n < count}
    program = ChunkProgram(remove_lines_program(by_model), 0, count)
    done = refine_document(text, [program], policy="permissive")
    refined, edits = also_remove(text, done.edits, remove_lines_program(by_filter))
    stay = [line for n, line in enumerate(text.split("\n")) if n not in by_model | by_filter]
    assert refined == "\n".join(stay)
    assert apply_edits(text, edits) == refined
    assert restore_text(refined, edits) == text
    assert also_removed(text, edits) == (remove_lines_program(by_filter) if by_filter else None)


@pytest.mark.parametrize(
    ("program", "dialect", "wanted"),
    [
        ('normalize("story", "tale")', "prox", "A tale of the town.\nIt ends here."),
        ('normalize("menu", "")', "prox", "A story of the town.\nIt ends here."),
        ('add_line(2, "new")', "ultrax", None),
    ],
)
def test_other_edits_stay_where_their_lines_do(program: str, dialect: str, wanted: str | None) -> None:
    done = refine_document(TEXT, [ChunkProgram(program, 0, 5)], dialect=dialect, policy="permissive")
    refined, edits = also_remove(TEXT, done.edits, remove_lines_program([0, 2, 4]))
    assert wanted is None or refined == wanted
    assert apply_edits(TEXT, edits) == refined
    assert restore_text(refined, edits) == TEXT
    assert {edit.chunk for edit in edits} >= {FILTER_CHUNK}


def test_a_filters_lines_go_whatever_the_policy_says_of_the_models_program() -> None:
    lines = remove_lines_program([0, 2, 4])
    kept = execute("keep_chunk()", lines)
    assert (kept.outcome, kept.reason) == ("EDITED", "REPEATED_LINES")
    assert kept.text == "A story of the town.\nIt ends here."
    assert (kept.lines_after, kept.words_after, kept.chars_after) == (2, 8, len(kept.text))
    assert {edit.chunk for edit in kept.edits} == {FILTER_CHUNK}
    edited = execute("remove_lines(3, 3)", lines)
    assert (edited.outcome, edited.reason, edited.text) == ("EDITED", "EDITS", "A story of the town.")
    assert [edit.chunk for edit in edited.edits] == [-1, -1, 0, -1]
    off = execute(None, lines)  # the chunk level is off
    assert (off.outcome, off.text) == ("EDITED", kept.text)
    refused = execute("remove_lines(0, 4)", lines)  # all of the document: the policy refuses that
    assert (refused.outcome, refused.reason, refused.text) == ("EDITED", "PARTLY_REFUSED", kept.text)


def test_what_is_dropped_or_failed_stays_so_and_nothing_left_is_dropped() -> None:
    lines = remove_lines_program([0, 2, 4])
    assert execute("keep_chunk()", lines, doc="drop_doc()").outcome == "DROPPED"
    nothing = execute("remove_lines(1, 3)", lines)
    assert (nothing.outcome, nothing.reason, nothing.text, nothing.edits) == ("DROPPED", "REPEATED_LINES", None, ())
    same = execute("remove_lines(1, 1)", "remove_lines(77, 99)")
    assert same == execute("remove_lines(1, 1)", None)


def test_a_chunk_that_was_written_anew_stays_as_it_was_written() -> None:
    text = "one\ntwo\nthree"
    edits = refine_document(text, [ChunkProgram("remove_lines(0, 0)", 0, 3)], policy="permissive").edits
    rewrite = edits[0]._replace(kind="rewrite", line=0, start=0, stop=7, removed="one\ntwo", inserted="1, 2")
    refined, found = also_remove(text, [rewrite], remove_lines_program([0, 1, 2]))
    assert refined == "1, 2"
    assert restore_text(refined, found) == text
