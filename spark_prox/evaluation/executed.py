"""Run a writer's programs on labelled pages through the production executor. The caller computes scores.

Takes rows as the generate stage stores them, whoever wrote them, and a policy. Knows no model and no labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spark_prox.documents import join_lines
from spark_prox.execution import StoredChunk, decide_stored, execute_stored
from spark_prox.generation import GeneratedProgram
from spark_prox.programs import Policy

__all__ = ["ExecutedPage", "decide_documents", "execute_pages"]


@dataclass(frozen=True, kw_only=True)
class ExecutedPage:
    """One page after the executor.

    Attributes:
        text: the refined text; "" where the page was dropped.
        keep: for each line, whether it was not removed.
        calls: calls in all of the page's programs.
        programs: chunk programs of the page.
        failed: those that are missing or unreadable.
        refused: those that the policy refused.
    """

    text: str = field(repr=False)
    keep: tuple[bool, ...]
    calls: int = 0
    programs: int = 0
    failed: int = 0
    refused: int = 0


def execute_pages(
    pages: Sequence[Sequence[str]], rows: Iterable[GeneratedProgram], policy: Policy, *, dialect: str = "prox"
) -> list[ExecutedPage]:
    """Run chunk programs on their pages.

    Args:
        pages: lines of each page; a row's `doc_id` is the page's index.
        rows: in any order; a page without rows fails as a whole.
    """
    chunks: list[list[StoredChunk]] = [[] for _ in pages]
    for row in rows:
        chunks[int(row.doc_id)].append(
            StoredChunk(
                chunk_index=row.chunk_index,
                chunk_count=row.chunk_count,
                first_line=row.first_line,
                line_count=row.line_count,
                program=row.program,
                status=row.status.value,
                line_margins=row.line_margins,
            )
        )
    return [_execute(lines, own, policy, dialect) for lines, own in zip(pages, chunks, strict=True)]


def decide_documents(
    count: int, rows: Iterable[GeneratedProgram], policy: Policy, *, dialect: str = "prox"
) -> list[bool]:
    """Decide for each of `count` documents if the document level keeps it. A document without a row is kept."""
    keep = [True] * count
    for row in rows:
        decision = decide_stored(row.program, row.status.value, row.margin, policy=policy, dialect=dialect)
        keep[int(row.doc_id)] = decision.keep
    return keep


def _execute(lines: Sequence[str], chunks: list[StoredChunk], policy: Policy, dialect: str) -> ExecutedPage:
    chunks.sort(key=lambda chunk: chunk.chunk_index)
    text = join_lines(list(lines))
    done = execute_stored(
        text,
        doc_program=None,
        doc_status="OFF",
        doc_margin=None,
        chunks=chunks or None,
        policy=policy,
        dialect=dialect,
    )
    keep = [done.text is not None] * len(lines)
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    for edit in done.edits:
        if edit.kind == "remove_lines":
            # A line goes with the break behind it, or with the one before it at the page's end; the last one of a page
            # that goes as a whole has none.
            alone = edit.stop == len(text) and edit.start == starts[edit.line]
            for line in range(edit.line, edit.line + edit.removed.count("\n") + alone):
                keep[line] = False
    return ExecutedPage(
        text=done.text or "",
        keep=tuple(keep),
        calls=done.calls,
        programs=len(chunks),
        failed=done.failed_chunks if done.chunks else len(chunks),
        refused=done.refused_chunks,
    )
