"""Put a document's edits together: removals, replacements and insertions of all chunks in one ascending list.

Time is linear in text and edits, up to sorting, within the policy's budget for searching. Refuses single calls; judges
no document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.lines import LineIndex, Removal, disjoint_removals, sure_removals
from spark_prox.programs.plan import ChunkPlan
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import Span
from spark_prox.programs.substitute import substitute
from spark_prox.programs.words import has_more_words_than

__all__ = ["Draft", "applied", "assemble", "merged_spans", "removal_spans"]


class Draft(NamedTuple):
    """A refined text that no limit has been held against yet; `lines` where they had to be found."""

    text: str
    spans: list[Span]
    lines: LineIndex | None


def assemble(text: str, plans: Sequence[ChunkPlan], rules: Policy, margins: Mapping[int, float] | None) -> Draft:
    """Execute what the plans ask for; writes each call's result into its plan."""
    removals = [removal for plan in plans for removal in plan.removals]
    by_line = bool(removals) or any(plan.line_edits or plan.additions for plan in plans)
    replaces = any(plan.replacements or plan.line_edits or plan.rewrite for plan in plans)
    if not by_line and not replaces:
        return Draft(text, [], None)
    index = None if not by_line and _acts_on_all(text, plans, rules) else LineIndex(text)
    spans: list[Span] = []
    if removals:
        assert index is not None
        spans = removal_spans(text, index, _settle_removals(plans, removals, rules, margins, text, index))
    if replaces:
        spans = merged_spans(spans, substitute(text, plans, rules, index, spans))
    if any(plan.additions for plan in plans):
        assert index is not None
        spans = _insert(text, index, spans, plans, rules)
    refined = applied(text, spans)
    if refined == text:  # replacements that undo each other
        return Draft(text, [], index)
    return Draft(refined, spans, index)


def _acts_on_all(text: str, plans: Sequence[ChunkPlan], rules: Policy) -> bool:
    """True if replacements see the whole text, so that no line has to be found."""
    if rules.scope == "document":
        return True
    return len(plans) == 1 and plans[0].first == 0 and plans[0].stop > text.count("\n")


def _settle_removals(
    plans: Sequence[ChunkPlan],
    removals: list[Removal],
    rules: Policy,
    margins: Mapping[int, float] | None,
    text: str,
    index: LineIndex,
) -> list[Removal]:
    """Disjoint removals that the model is sure of; every call's result says how many lines it removed."""
    removals = disjoint_removals(removals)
    unsure: list[Removal] = []
    if margins and rules.min_remove_margin is not None:
        removals, unsure = sure_removals(removals, margins, _least_margin(rules, text, index))
    by_chunk = {plan.index: plan for plan in plans}
    counts: dict[tuple[int, int], int] = {}
    for removal in removals:
        key = removal[2:]
        counts[key] = counts.get(key, 0) + removal.last - removal.first + 1
    doubted = {removal[2:] for removal in unsure}
    for plan in plans:
        for asked in plan.removals:
            key = asked[2:]
            count = counts.get(key, 0)
            code = by_chunk[asked.chunk].results[asked.call][1]
            if key in doubted:
                status = CallStatus.APPLIED if count else CallStatus.REFUSED
                plan.results[asked.call] = (status, Code.UNSURE, count)
            else:
                plan.results[asked.call] = (CallStatus.APPLIED, code if count else Code.ALREADY_REMOVED, count)
    return removals


def _least_margin(rules: Policy, text: str, index: LineIndex) -> Callable[[int], float]:
    """How sure the model must be of removing a line."""
    least, short = rules.min_remove_margin or 0.0, rules.min_remove_margin_short
    if short is None:
        return lambda _: least
    most = rules.short_line_words - 1
    return lambda line: least if has_more_words_than(text[index.start(line) : index.end(line)], most) else short


def removal_spans(text: str, index: LineIndex, removals: Sequence[Removal]) -> list[Span]:
    """Spans of the removed lines, each with the newline after it; a run at the end takes the newline before it."""
    last_line = len(index) - 1
    tail = len(removals)
    if removals and removals[-1].last == last_line:
        tail -= 1
        while tail and removals[tail - 1].last + 1 == removals[tail].first:
            tail -= 1
    spans: list[Span] = []
    for number, (first, last, chunk, call) in enumerate(removals):
        before = 1 if number >= tail and removals[tail].first > 0 else 0
        start = index.start(first) - before
        stop = len(text) if last == last_line else index.start(last + 1) - before
        spans.append((start, stop, "", "remove_lines", first, chunk, call))
    return spans


def merged_spans(removed: list[Span], replaced: Iterable[Span]) -> list[Span]:
    """Both in order; a replacement that touches a removed line is lost with it."""
    if not removed:
        return list(replaced)
    merged: list[Span] = []
    position = 0
    for span in replaced:
        while position < len(removed) and removed[position][1] <= span[0]:
            merged.append(removed[position])
            position += 1
        if position == len(removed) or span[1] <= removed[position][0]:
            merged.append(span)
    merged += removed[position:]
    return merged


def _insert(text: str, index: LineIndex, spans: list[Span], plans: Sequence[ChunkPlan], rules: Policy) -> list[Span]:
    """Add lines; one that falls inside a removed run goes to the run's place."""
    asked = sorted(
        ((op, call, plan) for plan in plans for call, op in plan.additions),
        key=lambda item: (item[0].after, item[0].order, item[2].index, item[1]),
    )
    allowed = rules.max_text_chars
    if rules.max_growth is not None:
        allowed = min(allowed, int(len(text) * (rules.max_growth - 1)) + rules.growth_slack_chars)
    runs = _removed_runs(spans)
    emptied = runs == [(0, len(text))]
    added: list[Span] = []
    position = 0
    for op, call, plan in asked:
        allowed -= len(op.content) + 1
        if allowed < 0:
            plan.set_result(call, CallStatus.REFUSED, Code.GROWTH)
            continue
        plan.set_result(call, CallStatus.APPLIED, None, 1)
        offset = len(text) + 1 if op.after + 1 >= len(index) else index.start(op.after + 1)
        while position < len(runs) and runs[position][1] <= offset < len(text):
            position += 1
        if position < len(runs) and runs[position][0] < offset < runs[position][1]:
            offset = len(text) + 1 if runs[position][1] == len(text) else runs[position][0]
        if offset <= len(text):
            inserted = op.content + "\n"
        else:
            offset = len(text)
            inserted = op.content if emptied and not added else "\n" + op.content
        added.append((offset, offset, inserted, "add_line", max(op.after, 0), plan.index, call))
    return sorted(spans + added, key=lambda span: span[:2])


def _removed_runs(spans: Iterable[Span]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for span in spans:
        if span[3] != "remove_lines":
            continue
        if runs and runs[-1][1] == span[0]:
            runs[-1] = (runs[-1][0], span[1])
        else:
            runs.append(span[:2])
    return runs


def applied(text: str, spans: Sequence[Span]) -> str:
    """The text with ascending spans executed."""
    pieces: list[str] = []
    position = 0
    for start, stop, inserted, *_ in spans:
        pieces.append(text[position:start])
        if inserted:
            pieces.append(inserted)
        position = stop
    pieces.append(text[position:])
    return "".join(pieces)
