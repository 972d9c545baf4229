"""A document's stored programs under a policy: the row that the executor makes, every call, every line.

Executes as the execute stage does, through `spark_prox.execution`. Knows no table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spark_prox.documents import Level
from spark_prox.execution import RefinedRow, execute_stored, refine_stored
from spark_prox.filters import FILTERED
from spark_prox.programs import Edit, Outcome, Policy, Refinement, parse_program
from spark_prox.report.story import Key, Story

__all__ = ["CallStory", "Decisions", "decide_story", "line_margins", "removed_lines"]


@dataclass(frozen=True, kw_only=True)
class CallStory:
    """One call of a program.

    Attributes:
        level: of the program.
        chunk: index of the chunk program; -1 for the document level.
        source: the program's own characters.
        status: what became of it; "" where it was not executed.
        code: why, where there is more to say.
        count: lines removed, occurrences replaced, lines added.
    """

    level: Level
    chunk: int
    name: str
    source: str = field(repr=False)
    status: str
    code: str | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """One document under one policy.

    Attributes:
        row: the columns of `refined` that execution fills.
        calls: of both levels, in order.
        removed: numbers of the lines that go, 0-based; all of them where the document is dropped.
        margins: log p(keep) - log p(remove) by line, where it is known.
    """

    row: RefinedRow = field(repr=False)
    calls: tuple[CallStory, ...] = field(repr=False)
    removed: frozenset[int] = field(repr=False)
    margins: Mapping[int, float] = field(repr=False)


def decide_story(story: Story, keys: Mapping[Level, Key], *, policy: Policy, dialect: str) -> Decisions:
    """Execute a story's programs under a policy."""
    level = next(iter(story.under(keys.get("doc"))), None)
    doc_program, doc_status = (level.program, level.status) if level is not None else (None, None)
    if "doc" not in keys:
        doc_program, doc_status = "keep_doc()", "OFF"
    if story.refined is not None and story.refined.doc_reason == FILTERED:
        doc_program, doc_status = story.refined.reason, FILTERED
    chunks = story.chunks(keys.get("chunk"))
    row = execute_stored(
        story.text,
        doc_program=doc_program,
        doc_status=doc_status,
        doc_margin=level.margin if level is not None else None,
        chunks=chunks,
        policy=policy,
        dialect=dialect,
        line_program=story.line_program,
    )._replace(doc_id=story.doc_id, doc_hash=story.doc_hash, doc_margin=level.margin if level is not None else None)
    calls = [] if level is None or level.program is None else _verdict_calls(level.program, dialect, row)
    was_executed = row.chunks > 0 and chunks
    if chunks and was_executed:
        calls += _chunk_calls(refine_stored(story.text, chunks, policy=policy, dialect=dialect))
    elif chunks:
        calls += [call for chunk in chunks for call in _unexecuted(chunk.program or "", chunk.chunk_index, dialect)]
    if row.outcome == Outcome.DROPPED:
        removed = frozenset(range(story.text.count("\n") + 1))
    else:
        removed = removed_lines(story.text, row.edits)
    return Decisions(row=row, calls=tuple(calls), removed=removed, margins=line_margins(story, keys))


def line_margins(story: Story, keys: Mapping[Level, Key]) -> dict[int, float]:
    """The chunk level's margins by document line."""
    return {
        chunk.first_line + offset: value
        for chunk in story.chunks(keys.get("chunk")) or ()
        for offset, value in enumerate(chunk.line_margins or ())
    }


def removed_lines(text: str, edits: Iterable[Edit]) -> frozenset[int]:
    """Numbers of the lines that edits remove as a whole."""
    removed: set[int] = set()
    starts: list[int] | None = None
    for edit in edits:
        if edit.kind != "remove_lines":
            continue
        alone = False  # the last line of a text that goes from its start has no line break that goes with it
        if edit.stop == len(text):
            starts = starts or [0, *itertools.accumulate(len(line) + 1 for line in text.split("\n"))]
            alone = edit.start == starts[edit.line]
        removed.update(range(edit.line, edit.line + edit.removed.count("\n") + alone))
    return frozenset(removed)


def _verdict_calls(program: str, dialect: str, row: RefinedRow) -> list[CallStory]:
    """The document level's calls; its reason says what became of the first."""
    calls = _unexecuted(program, -1, dialect)
    refused = row.doc_reason in ("UNSURE", "CONFLICT")
    return [
        CallStory(
            level="doc",
            chunk=-1,
            name=call.name,
            source=call.source,
            status=call.status or ("refused" if refused else "applied"),
            code=call.code or (row.doc_reason if refused else None),
            count=0,
        )
        for call in calls
    ]


def _unexecuted(program: str, chunk: int, dialect: str) -> list[CallStory]:
    parsed = parse_program(program, dialect)
    return [
        CallStory(
            level="doc" if chunk < 0 else "chunk",
            chunk=chunk,
            name=call.name,
            source=parsed.text[call.start : call.stop].strip(),
            status="malformed" if call.op is None else "",
            code=call.code.value if call.code is not None else None,
            count=0,
        )
        for call in parsed.calls
    ]


def _chunk_calls(refinement: Refinement) -> list[CallStory]:
    sources = {
        (trace.chunk, number): trace.parsed.text[call.start : call.stop].strip()
        for trace in refinement.traces
        for number, call in enumerate(trace.parsed.calls)
    }
    return [
        CallStory(
            level="chunk",
            chunk=call.chunk,
            name=call.name,
            source=sources[call.chunk, call.call],
            status=call.status.value,
            code=call.code.value if call.code is not None else None,
            count=call.count,
        )
        for call in refinement.calls
    ]
