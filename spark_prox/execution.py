"""From stored programs to a row of `refined`: the document level's decision, then the chunk programs.

A missing or broken program gives an outcome and a reason, never an exception; the text is then unchanged. Knows the
program language, nothing of Spark or Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from spark_prox.filters import FILTERED, REPEATED_LINES_REASON
from spark_prox.generation import ProgramStatus
from spark_prox.programs import (
    ChunkProgram,
    Edit,
    Outcome,
    Policy,
    Refinement,
    decide_document,
    refine_document,
)
from spark_prox.programs.also_remove import also_remove
from spark_prox.programs.errors import Code
from spark_prox.rows import Int32, Int64, Origin, Real, Text, Time, Word

__all__ = ["RefinedRow", "StoredChunk", "StoredDecision", "decide_stored", "execute_stored", "refine_stored"]


class StoredChunk(NamedTuple):
    """One chunk's row of `programs`, as far as execution needs it."""

    chunk_index: int
    chunk_count: int
    first_line: int
    line_count: int
    program: str | None
    status: str
    line_margins: Sequence[float] | None = None


class StoredDecision(NamedTuple):
    """Keep or drop a document, and why."""

    keep: bool
    reason: str


class RefinedRow(NamedTuple):
    """The columns of `refined`, in order: the one place that declares them. The user's own columns follow.

    `udfs.execute` fills what is passed through and counted, `spark_prox.stages.execute` what is the same for a run.

    Attributes:
        text: null when dropped.
        outcome: KEPT, EDITED, DROPPED, REFUSED or FAILED.
        reason: why the outcome is what it is.
        doc_reason: what the document level said, whatever came after it; FILTERED where a filter dropped the document
            before any level saw it.
        doc_margin: how sure it was.
        edits: what was cut out and put in; `chunk` is -1 for a line that a filter removed.
    """

    doc_id: Annotated[Word, Origin.INPUT] = ""
    doc_hash: Annotated[Word, Origin.INPUT] = ""
    url: Annotated[Word | None, Origin.INPUT] = None
    text: Text | None = None
    outcome: Word = ""
    reason: Word = ""
    doc_reason: Word = ""
    doc_margin: Annotated[Real | None, Origin.INPUT] = None
    edits: tuple[Edit, ...] = ()
    calls: Int32 = 0
    program_errors: Int32 = 0
    chunks: Int32 = 0
    failed_chunks: Int32 = 0
    refused_chunks: Int32 = 0
    lines_before: Int64 = 0
    lines_after: Int64 = 0
    words_before: Int64 = 0
    words_after: Int64 = 0
    chars_before: Int64 = 0
    chars_after: Int64 = 0
    tokens_before: Annotated[Int64 | None, Origin.COUNTED] = None
    tokens_after: Annotated[Int64 | None, Origin.COUNTED] = None
    source: Annotated[Word | None, Origin.INPUT] = None
    crawl: Annotated[Word | None, Origin.INPUT] = None
    policy: Annotated[Word, Origin.RUN] = ""
    policy_hash: Annotated[Word, Origin.RUN] = ""
    settings_hash: Annotated[Word, Origin.RUN] = ""
    run_id: Annotated[Word, Origin.RUN] = ""
    refined_at: Annotated[Time, Origin.RUN] = ""


def decide_stored(
    program: str | None, status: str | None, margin: float | None, *, policy: Policy, dialect: str
) -> StoredDecision:
    """The document level's decision. Without a usable program the document is kept: where unsure, keep."""
    if status == "OFF":
        return StoredDecision(keep=True, reason="STAGE_OFF")
    if status is None:
        return StoredDecision(keep=True, reason="NO_PROGRAM")
    if status != ProgramStatus.OK or program is None:
        return StoredDecision(keep=True, reason=status)
    verdict, reason = decide_document(program, dialect=dialect, policy=policy, margin=margin)
    return StoredDecision(keep=verdict == "keep", reason=reason.value)


def execute_stored(
    text: str | None,
    *,
    doc_program: str | None,
    doc_status: str | None,
    doc_margin: float | None,
    chunks: Sequence[StoredChunk] | None,
    policy: Policy,
    dialect: str,
    line_program: str | None = None,
) -> RefinedRow:
    """Apply both levels' programs to one document.

    Args:
        text: None if it is not in its source any more.
        doc_program, doc_status: of a document that a filter drops, the reason and FILTERED.
        chunks: in order; empty when the chunk level is off, None when the document has no chunk programs.
        line_program: a filter's, which removes lines of a document that it keeps; no policy is asked about it.
    """
    if text is None:
        return _unedited("", Outcome.FAILED, "TEXT_GONE", "TEXT_GONE")
    row = _execute_levels(text, doc_program, doc_status, doc_margin, chunks, policy, dialect)
    if line_program is None or row.outcome in (Outcome.DROPPED, Outcome.FAILED):
        return row
    return _without_lines(text, row, line_program)


def _execute_levels(
    text: str,
    doc_program: str | None,
    doc_status: str | None,
    doc_margin: float | None,
    chunks: Sequence[StoredChunk] | None,
    policy: Policy,
    dialect: str,
) -> RefinedRow:
    if doc_status == FILTERED:
        return _unedited(text, Outcome.DROPPED, doc_program or FILTERED, FILTERED)
    decision = decide_stored(doc_program, doc_status, doc_margin, policy=policy, dialect=dialect)
    if not decision.keep:
        return _unedited(text, Outcome.DROPPED, decision.reason, decision.reason)
    if decision.reason == "NO_PROGRAM" or chunks is None or (chunks and len(chunks) != chunks[0].chunk_count):
        return _unedited(text, Outcome.FAILED, "NO_PROGRAM", decision.reason)
    if not chunks:
        return _unedited(text, Outcome.KEPT, decision.reason, decision.reason)
    try:
        refinement = refine_stored(text, chunks, policy=policy, dialect=dialect)
    except Exception as error:  # noqa: BLE001 - a defect of ours must cost one row, not a task of thousands
        return _unedited(text, Outcome.FAILED, f"EXECUTOR_ERROR:{type(error).__name__}", decision.reason)
    return _row(refinement, decision.reason)


def refine_stored(text: str, chunks: Sequence[StoredChunk], *, policy: Policy, dialect: str) -> Refinement:
    """Apply the chunk programs of one document that its document level keeps; tells what became of every call."""
    margins = {
        chunk.first_line + offset: value for chunk in chunks for offset, value in enumerate(chunk.line_margins or ())
    }
    return refine_document(
        text,
        [
            ChunkProgram(
                program=chunk.program or "",
                first_line=chunk.first_line,
                line_count=chunk.line_count,
                failed=chunk.status != ProgramStatus.OK or chunk.program is None,
            )
            for chunk in chunks
        ],
        dialect=dialect,
        policy=policy,
        line_margins=margins or None,
    )


def _without_lines(text: str, row: RefinedRow, program: str) -> RefinedRow:
    """A row without the lines that a filter's program removes; dropped where no word is left then."""
    refined, edits = also_remove(text, row.edits, program)
    if edits == row.edits:
        return row
    words = len(refined.split())
    if not words:
        return _unedited(text, Outcome.DROPPED, REPEATED_LINES_REASON, row.doc_reason)
    reasons = {Outcome.EDITED: row.reason, Outcome.REFUSED: Code.PARTLY_REFUSED.value}
    return row._replace(
        text=refined,
        outcome=Outcome.EDITED.value,
        reason=reasons.get(Outcome(row.outcome), REPEATED_LINES_REASON),
        edits=edits,
        lines_after=refined.count("\n") + 1,
        words_after=words,
        chars_after=len(refined),
    )


def _unedited(text: str, outcome: Outcome, reason: str, doc_reason: str) -> RefinedRow:
    lines, words = text.count("\n") + 1, len(text.split())
    kept = outcome != Outcome.DROPPED
    return RefinedRow(
        text=text if kept else None,
        outcome=outcome.value,
        reason=reason,
        doc_reason=doc_reason,
        lines_before=lines,
        lines_after=lines if kept else 0,
        words_before=words,
        words_after=words if kept else 0,
        chars_before=len(text),
        chars_after=len(text) if kept else 0,
    )


def _row(refinement: Refinement, doc_reason: str) -> RefinedRow:
    return RefinedRow(
        text=refinement.text,
        outcome=refinement.outcome.value,
        reason=refinement.reason.value,
        doc_reason=doc_reason,
        edits=refinement.edits,
        calls=refinement.call_count,
        program_errors=refinement.error_count,
        chunks=refinement.chunks,
        failed_chunks=refinement.failed_chunks,
        refused_chunks=refinement.refused_chunks,
        lines_before=refinement.lines_before,
        lines_after=refinement.lines_after,
        words_before=refinement.words_before,
        words_after=refinement.words_after,
        chars_before=refinement.chars_before,
        chars_after=refinement.chars_after,
    )
