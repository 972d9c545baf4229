"""Run a document's string replacements: chunk by chunk, in order, within the policy's limits on growth and work.

`normalize` acts on its whole chunk, replacements in a line on that line alone. Knows nothing of removed lines: a
replacement inside them is lost later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.lines import LineIndex
from spark_prox.programs.ops import ReplaceInLine, ReplaceText, Rewrite
from spark_prox.programs.plan import ChunkPlan
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import Span
from spark_prox.programs.replace import MOST_PATCHES, Region

__all__ = ["substitute"]

_START, _STOP = itemgetter(0), itemgetter(1)
_REFUSED_SOURCES = ("", " ", "\n")
_Change = tuple[int, int, str, int]
"""In a region: start, stop, new string, whose."""


class _Budget:
    """Characters that the document's replacements may still search through."""

    def __init__(self, characters: int) -> None:
        self.left = characters

    def spend(self, characters: int) -> bool:
        self.left -= characters
        return self.left >= 0


def substitute(
    text: str, plans: Sequence[ChunkPlan], rules: Policy, index: LineIndex | None, removed: Sequence[Span] = ()
) -> list[Span]:
    """Ascending, disjoint spans of all replacements; results go into the plans.

    Where chunks overlap, of two replacements that do the one that begins first stands.

    Args:
        removed: ascending, disjoint spans that are removed, with every replacement that touches them.
        index: the text's lines; may be None where one region is the whole text and no replacement names its line.
    """
    budget = _Budget(rules.max_work_chars)
    if rules.scope == "document":
        return _in_region(text, 0, len(text), plans, rules, budget, index, removed)
    spans: list[Span] = []
    for plan in plans:
        if not (plan.replacements or plan.line_edits or plan.rewrite):
            continue
        start, stop = (index.start(plan.first), index.end(plan.stop - 1)) if index else (0, len(text))
        if plan.rewrite is not None:
            spans += _rewritten(plan, *plan.rewrite, start, stop, _allowed_chars(stop - start, rules))
        if plan.replacements or plan.line_edits:
            spans += _in_region(text, start, stop, (plan,), rules, budget, index, removed)
    return _disjoint(spans) if len(plans) > 1 else spans


def _rewritten(plan: ChunkPlan, call: int, op: Rewrite, start: int, stop: int, allowed_chars: int) -> list[Span]:
    """The span of a chunk that gets new text."""
    if len(op.content) > allowed_chars:
        plan.set_result(call, CallStatus.REFUSED, Code.GROWTH)
        return []
    plan.set_result(call, CallStatus.APPLIED, None, 1)
    return [(start, stop, op.content, "rewrite", plan.first, plan.index, call)]


def _disjoint(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _in_region(
    text: str,
    start: int,
    stop: int,
    plans: Sequence[ChunkPlan],
    rules: Policy,
    budget: _Budget,
    index: LineIndex | None,
    removed: Sequence[Span],
) -> list[Span]:
    inside = removed[bisect_right(removed, start, key=_STOP) : bisect_left(removed, stop, key=_START)]
    pieces = [(max(span[0], start) - start, min(span[1], stop) - start) for span in inside]
    region = Region(text[start:stop], pieces)
    owners: list[tuple[ChunkPlan, int]] = []  # who made a patch
    if index is not None and any(plan.line_edits for plan in plans):
        owners = [(plan, call) for plan in plans for call, _ in plan.line_edits]
        edits = [op for plan in plans for _, op in plan.line_edits]
        _replace_in_lines(text, region, start, owners, edits, index, budget)
    allowed = _allowed_chars(stop - start, rules)
    for plan in plans:
        for call, op in plan.replacements:
            owners.append((plan, call))
            _replace(region, plan, call, op, len(owners) - 1, allowed, rules, budget)
    return [
        (
            start + was_start,
            start + was_stop,
            region.text[begin:end],
            "replace",
            -1,
            owners[owner][0].index,
            owners[owner][1],
        )
        for begin, end, was_start, was_stop, owner in region.patches
        if was_stop - was_start != end - begin
        or not text.startswith(region.text[begin:end], start + was_start)  # replaced and put back
    ]


def _replace(
    region: Region,
    plan: ChunkPlan,
    call: int,
    op: ReplaceText,
    owner: int,
    allowed_chars: int,
    rules: Policy,
    budget: _Budget,
) -> None:
    if rules.reader == "grammar" and op.source in _REFUSED_SOURCES:
        plan.set_result(call, CallStatus.NO_MATCH, Code.EMPTY_SOURCE)
        return
    if not budget.spend(region.cost()):
        plan.set_result(call, CallStatus.REFUSED, Code.WORK_LIMIT)
        return
    source, target = _reading(region.text, op)
    matches = region.find_all(source)
    if not matches:
        plan.set_result(call, CallStatus.NO_MATCH, Code.ABSENT)
        return
    count = len(matches) if len(matches) <= MOST_PATCHES else region.text.count(source)
    if not budget.spend(64 * len(matches) + 16 * (count - len(matches))):
        plan.set_result(call, CallStatus.REFUSED, Code.WORK_LIMIT)
        return
    growth = count * (len(target) - len(source))
    if growth > 0 and len(region.text) + growth > allowed_chars:
        plan.set_result(call, CallStatus.REFUSED, Code.GROWTH)
        return
    plan.set_result(call, CallStatus.APPLIED, None, count)
    if source != target:
        region.replace_all(source, target, matches, count, owner)


def _allowed_chars(original_chars: int, rules: Policy) -> int:
    if rules.max_growth is None:
        return rules.max_text_chars
    return min(rules.max_text_chars, int(original_chars * rules.max_growth) + rules.growth_slack_chars)


def _reading(text: str, op: ReplaceText | ReplaceInLine) -> tuple[str, str]:
    """The literal reading of a string with a backslash where it occurs, the unescaped one otherwise."""
    if op.verbatim is not None and op.verbatim[0] != op.source and op.verbatim[0] in text:
        return op.verbatim
    return op.source, op.target


def _replace_in_lines(
    text: str,
    region: Region,
    offset: int,
    owners: Sequence[tuple[ChunkPlan, int]],
    edits: Sequence[ReplaceInLine],
    index: LineIndex,
    budget: _Budget,
) -> None:
    """Replacements that name their line. All look at the original line, so their order does not matter.

    Where old and new string share a beginning or an end (context that made the place unique) only the rest counts as
    changed, so that two replacements may share context.
    """
    wanted: list[_Change] = []
    taken: dict[tuple[int, str], int] = {}  # where the last call for the first place of a string found it
    for owner, ((plan, call), op) in enumerate(zip(owners, edits, strict=True)):
        start, stop = index.start(op.line), index.end(op.line)
        if not op.source:
            plan.set_result(call, CallStatus.NO_MATCH, Code.EMPTY_SOURCE)
            continue
        if not budget.spend(stop - start + 64):
            plan.set_result(call, CallStatus.REFUSED, Code.WORK_LIMIT)
            continue
        source, target = _reading(text[start:stop], op)
        at = text.find(source, start if op.unique else taken.get((op.line, source), start), stop)
        if at < 0:
            plan.set_result(call, CallStatus.NO_MATCH, Code.ABSENT)
        elif op.unique and text.find(source, at + 1, stop) >= 0:
            plan.set_result(call, CallStatus.NO_MATCH, Code.AMBIGUOUS)
        else:
            plan.set_result(call, CallStatus.APPLIED, None, 1)
            taken[op.line, source] = at + len(source)
            if source != target:
                begin, end = _changed(source, target)
                wanted.append(
                    (at + begin - offset, at + len(source) - end - offset, target[begin : len(target) - end], owner)
                )
    region.patch(_without_overlaps(wanted, owners))


def _changed(source: str, target: str) -> tuple[int, int]:
    """Lengths of the common beginning and, behind it, of the common end."""
    shortest = min(len(source), len(target))
    begin = next((n for n in range(shortest) if source[n] != target[n]), shortest)
    rest = shortest - begin
    end = next((n for n in range(rest) if source[-1 - n] != target[-1 - n]), rest)
    return begin, end


def _without_overlaps(wanted: list[_Change], owners: Sequence[tuple[ChunkPlan, int]]) -> list[_Change]:
    """Ascending changes; of two that overlap or begin and end alike, the earlier call's stands."""
    taken: list[_Change] = []
    for change in sorted(wanted, key=lambda change: (change[0], change[1], change[3])):
        while taken and (change[0] < taken[-1][1] or change[:2] == taken[-1][:2]):
            loser = change if taken[-1][3] < change[3] else taken.pop()
            plan, call = owners[loser[3]]
            plan.set_result(call, CallStatus.REFUSED, Code.OVERLAP)
            if loser is change:
                break
        else:
            taken.append(change)
    return taken
