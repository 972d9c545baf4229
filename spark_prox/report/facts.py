"""The facts of a document that decide its lines under any margins, for the report's page to decide them again.

The page has no executor. It gets, for each line, the call that names it and the line's words, and what the executor
finds out that no margin changes; `page/assets/decide.js` is the other half. Programs that also replace text or add
lines are told apart: for them the page's figures are an estimate. Knows no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spark_prox.documents import Level
from spark_prox.execution import StoredChunk, decide_stored, refine_stored
from spark_prox.filters import FILTERED
from spark_prox.programs import CallStatus, DropAll, Edit, KeepAll, Outcome, Policy, Refinement
from spark_prox.programs.words import count_words
from spark_prox.report.decisions import removed_lines
from spark_prox.report.story import Key, Story

__all__ = ["LineFacts", "facts_of"]


@dataclass(frozen=True, kw_only=True)
class LineFacts:
    """Everything besides margins that decides a document.

    Attributes:
        state: "chunks" where chunk programs run; else why they do not: "off", "missing", "empty" (a text without a
            word), "fixed" (a policy that reads no margins, a filter that dropped the document or
            lines of it: what is stored counts).
        drop: whether the document level's program says to drop the document.
        doc_reason: the document level's reason where the document is not dropped.
        words: of each line.
        named: for each line, the place of the call that removes it in `owners`, -1 for none.
        owners: (chunk, call) of each call that removes lines, in order.
        refused: for each chunk program, the code of its refusal, or "".
        failed: for each chunk program, the code of its failure, or "".
        refused_calls: (chunk, call, code) of calls that are refused at any margin.
        all_drop: every chunk program drops its chunk.
        otherwise: the reason where nothing is removed and nothing refused.
        edits_more: programs also replace text or add lines.
    """

    state: str
    drop: bool = False
    doc_reason: str = ""
    words: tuple[int, ...] = field(default=(), repr=False)
    named: tuple[int, ...] = field(default=(), repr=False)
    owners: tuple[tuple[int, int], ...] = ()
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    refused_calls: tuple[tuple[int, int, str], ...] = ()
    all_drop: bool = False
    otherwise: str = ""
    edits_more: bool = False


def facts_of(story: Story, keys: Mapping[Level, Key], *, policy: Policy, dialect: str) -> LineFacts:
    """The facts of one document under a policy, whatever its margins and shares."""
    words = tuple(count_words(line) for line in story.text.split("\n"))
    is_filtered = story.refined is not None and story.refined.doc_reason == FILTERED
    if policy.reader == "upstream" or is_filtered or story.line_program:
        return LineFacts(state="fixed", words=words)
    drop, doc_reason = _document_level(story, keys, policy, dialect)
    base = LineFacts(state="missing", drop=drop, doc_reason=doc_reason, words=words)
    chunks = story.chunks(keys.get("chunk"))
    if doc_reason == "NO_PROGRAM" or chunks is None or (chunks and len(chunks) != chunks[0].chunk_count):
        return base
    if not chunks:
        return replace(base, state="off")
    if not sum(words):
        return replace(base, state="empty")
    unlimited = replace(
        policy,
        min_remove_margin=None,
        max_removed_of_chunk=None,
        max_removed_of_document=None,
        min_words_after=0,
    )
    return _chunk_level(base, story, chunks, refine_stored(story.text, chunks, policy=unlimited, dialect=dialect))


def _document_level(story: Story, keys: Mapping[Level, Key], policy: Policy, dialect: str) -> tuple[bool, str]:
    if "doc" not in keys:
        return False, "STAGE_OFF"
    level = next(iter(story.under(keys["doc"])), None)
    if level is None:
        return False, "NO_PROGRAM"
    unlimited = replace(policy, min_drop_margin=None)
    decision = decide_stored(level.program, level.status, level.margin, policy=unlimited, dialect=dialect)
    return not decision.keep, "UNSURE" if not decision.keep else decision.reason


def _chunk_level(base: LineFacts, story: Story, chunks: Sequence[StoredChunk], result: Refinement) -> LineFacts:
    ops = [call.op for call in result.calls if call.op is not None]
    all_drop = result.outcome is Outcome.DROPPED
    named = [-1] * len(base.words)
    owners = _name_dropped(named, chunks, result) if all_drop else _name_removed(named, story.text, result.edits)
    refused_calls = [
        (call.chunk, call.call, call.code.value if call.code is not None else "")
        for call in result.calls
        if call.status is CallStatus.REFUSED
    ]
    if any(trace.failed for trace in result.traces):
        otherwise = "PARTLY_FAILED"
    elif not result.calls:
        otherwise = "NO_CALL"
    else:
        otherwise = "KEEP_CALL" if ops and all(isinstance(op, KeepAll) for op in ops) else "NO_EFFECT"
    return replace(
        base,
        state="chunks",
        named=tuple(named),
        owners=owners,
        refused=tuple(str(trace.verdict or "") if not trace.failed else "" for trace in result.traces),
        failed=tuple(str(trace.verdict or "NO_PROGRAM") if trace.failed else "" for trace in result.traces),
        refused_calls=tuple(refused_calls),
        all_drop=all_drop,
        otherwise=otherwise,
        edits_more=any(edit.kind != "remove_lines" for edit in result.edits),
    )


def _name_removed(named: list[int], text: str, edits: Sequence[Edit]) -> tuple[tuple[int, int], ...]:
    """Fill in which call removes each line; gives the calls."""
    owners: dict[tuple[int, int], int] = {}
    for edit in edits:
        if edit.kind == "remove_lines":
            place = owners.setdefault((edit.chunk, edit.call), len(owners))
            for line in removed_lines(text, [edit]):
                named[line] = place
    return tuple(owners)


def _name_dropped(named: list[int], chunks: Sequence[StoredChunk], result: Refinement) -> tuple[tuple[int, int], ...]:
    """The same for a document all of whose chunk programs drop their chunk: it has no edits."""
    owners = []
    for place, (chunk, trace) in enumerate(zip(chunks, result.traces, strict=True)):
        owners.append(
            (trace.chunk, max(n for n, call in enumerate(trace.parsed.calls) if isinstance(call.op, DropAll)))
        )
        for line in range(chunk.first_line, min(chunk.first_line + chunk.line_count, len(named))):
            named[line] = place
    return tuple(owners)
