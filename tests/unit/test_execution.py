from __future__ import annotations

import pytest

from spark_prox import execution
from spark_prox.execution import RefinedRow, StoredChunk, decide_stored, execute_stored
from spark_prox.programs import policy_for

SENTENCES = "\n".join(f"A sentence of real content, number {n}, goes here." for n in range(12))
TEXT = f"Home | About\n{SENTENCES}\nFooter"
POLICY = policy_for("default")


def stored(program: str | None, status: str = "OK", **changes: object) -> StoredChunk:
    values: dict[str, object] = {
        "chunk_index": 0,
        "chunk_count": 1,
        "first_line": 0,
        "line_count": 14,
        "program": program,
        "status": status,
        **changes,
    }
    return StoredChunk(**values)  # type: ignore[arg-type]


def execute(doc: str | None, chunks: list[StoredChunk] | None, **changes: object) -> RefinedRow:
    values: dict[str, object] = {
        "doc_program": doc,
        "doc_status": None if doc is None else "OK",
        "doc_margin": None,
        "policy": POLICY,
        "dialect": "prox",
        **changes,
    }
    return execute_stored(TEXT, chunks=chunks, **values)  # type: ignore[arg-type]


def test_both_stages_are_applied() -> None:
    row = execute("keep_doc()", [stored("remove_lines(0, 0)\nremove_lines(13, 13)")])
    assert (row.outcome, row.lines_before, row.lines_after) == ("EDITED", 14, 12)
    assert row.text is not None
    assert not {"Home | About", "Footer"} & set(row.text.split("\n"))
    assert row.doc_reason == "KEEP_CALL"
    assert (row.calls, row.chunks, row.failed_chunks) == (2, 1, 0)


def test_a_dropped_document_has_no_text_and_its_counts() -> None:
    row = execute("drop_doc()", None)
    assert (row.outcome, row.text, row.reason) == ("DROPPED", None, "DROP_CALL")
    assert (row.words_before, row.words_after, row.lines_after) == (len(TEXT.split()), 0, 0)


def test_an_unsure_drop_is_kept_and_goes_on() -> None:
    unsure = policy_for("default", min_drop_margin=2.0)
    row = execute("drop_doc()", [stored("keep_chunk()")], doc_margin=-1.0, policy=unsure)
    assert (row.outcome, row.doc_reason) == ("KEPT", "UNSURE")
    assert execute("drop_doc()", None, doc_margin=-3.0, policy=unsure).outcome == "DROPPED"


def test_an_unsure_removal_of_a_line_is_refused_and_the_sure_one_done() -> None:
    policy = policy_for("default", min_remove_margin=2.0)
    margins = (-3.0,) + (5.0,) * 12 + (-1.0,)
    chunk = stored("remove_lines(0, 0)\nremove_lines(13, 13)", line_margins=margins)
    row = execute("keep_doc()", [chunk], policy=policy)
    assert row.text is not None
    assert row.text.startswith("A sentence")
    assert row.text.endswith("Footer")


@pytest.mark.parametrize(
    ("chunks", "doc"),
    [(None, "keep_doc()"), ([stored("keep_chunk()", chunk_count=2)], "keep_doc()"), ([stored("keep_chunk()")], None)],
)
def test_a_document_without_all_its_programs_is_failed_and_unchanged(
    chunks: list[StoredChunk] | None, doc: str | None
) -> None:
    row = execute(doc, chunks)
    assert (row.outcome, row.reason, row.text) == ("FAILED", "NO_PROGRAM", TEXT)


def test_a_failed_document_program_keeps_the_document_and_says_so() -> None:
    row = execute(None, [stored("remove_lines(0, 0)")], doc_status="ENGINE_FAILED")
    assert (row.outcome, row.doc_reason) == ("EDITED", "ENGINE_FAILED")


def test_a_document_whose_chunks_all_failed_is_failed() -> None:
    row = execute("keep_doc()", [stored(None, "ENGINE_FAILED")])
    assert (row.outcome, row.text, row.failed_chunks) == ("FAILED", TEXT, 1)


def test_a_defect_of_the_executor_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RecursionError

    monkeypatch.setattr(execution, "refine_document", broken)
    row = execute("keep_doc()", [stored("keep_chunk()")])
    assert (row.outcome, row.reason, row.text) == ("FAILED", "EXECUTOR_ERROR:RecursionError", TEXT)


def test_a_stage_that_is_off_keeps() -> None:
    assert decide_stored("drop_doc()", "OFF", None, policy=POLICY, dialect="prox").keep
    assert execute("keep_doc()", [], doc_status="OFF").outcome == "KEPT"
