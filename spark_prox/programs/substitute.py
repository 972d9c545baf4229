"""Run a document's string replacements: chunk by chunk, in order, within the policy's limits on growth and work.

`normalize` acts on its whole chunk, replacements in a line on that line alone. Knows nothing of removed lines: a
replacement inside them is lost later.
"""

from __future__ import annotations

from collections.abc import Sequence

from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.lines import LineIndex
from spark_prox.programs.ops import ReplaceInLine, ReplaceText
from spark_prox.programs.plan import ChunkPlan
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import Span
from spark_prox.programs.replace import Region

__all__ = ["substitute"]

_REFUSED_SOURCES = ("", " ", "\n")


class _Budget:
    """Characters that the document's replacements may still search through."""

    def __init__(self, characters: int) -> None:
        self.left = characters

    def spend(self, characters: int) -> bool:
        self.left -= characters
        return self.left >= 0


def substitute(text: str, plans: Sequence[ChunkPlan], rules: Policy, index: LineIndex | None) -> list[Span]:
    """Ascending, disjoint spans of all replacements; results go into the plans."""
    budget = _Budget(rules.max_work_chars)
    if rules.scope == "document":
        region = Region(text)
        owners: list[tuple[ChunkPlan, int]] = []
        for plan in plans:
            for call, op in plan.replacements:
                owners.append((plan, call))
                _replace(region, plan, call, op, len(owners) - 1, len(text), rules, budget)
        return _spans(region, 0, owners)
    spans: list[Span] = []
    for plan in plans:
        if not plan.replacements and not plan.line_edits:
            continue
        start, stop = (index.start(plan.first), index.end(plan.stop - 1)) if index else (0, len(text))
        region = Region(text[start:stop])
        if plan.line_edits and index is not None:
            _replace_in_lines(text, region, start, plan, index, budget)
        for call, op in plan.replacements:
            _replace(region, plan, call, op, call, stop - start, rules, budget)
        owners = [(plan, call) for call in range(len(plan.results))]
        spans += _spans(region, start, owners)
    spans.sort()
    return [span for number, span in enumerate(spans) if not number or span[0] >= spans[number - 1][1]]


def _spans(region: Region, offset: int, owners: Sequence[tuple[ChunkPlan, int]]) -> list[Span]:
    spans: list[Span] = []
    for patch in region.patches:
        plan, call = owners[patch.call]
        inserted = region.text[patch.start : patch.stop]
        spans.append(
            (offset + patch.was_start, offset + patch.was_stop, inserted, "replace", -1, plan.index, call)
        )
    return spans


def _replace(
    region: Region,
    plan: ChunkPlan,
    call: int,
    op: ReplaceText,
    owner: int,
    original_chars: int,
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
    count = region.text.count(source) if source else 0
    if not count:
        plan.set_result(call, CallStatus.NO_MATCH, Code.ABSENT)
        return
    plan.set_result(call, CallStatus.APPLIED, None, count)
    if source == target:
        return
    grown = len(region.text) + count * (len(target) - len(source))
    if grown > len(region.text) and grown > _allowed_chars(original_chars, rules):
        plan.set_result(call, CallStatus.REFUSED, Code.GROWTH)
        return
    region.replace_all(source, target, count, owner)


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
    text: str, region: Region, offset: int, plan: ChunkPlan, index: LineIndex, budget: _Budget
) -> None:
    """Replacements that name their line. All look at the original line, so their order does not matter.

    Where old and new string share a beginning or an end (context that made the place unique) only the rest counts as
    changed, so that two replacements may share context.
    """
    wanted: list[tuple[int, int, str, int]] = []
    for call, op in plan.line_edits:
        start, stop = index.start(op.line), index.end(op.line)
        if not op.source:
            plan.set_result(call, CallStatus.NO_MATCH, Code.EMPTY_SOURCE)
            continue
        if not budget.spend(stop - start + 64):
            plan.set_result(call, CallStatus.REFUSED, Code.WORK_LIMIT)
            continue
        source, target = _reading(text[start:stop], op)
        at = text.find(source, start, stop)
        if at < 0:
            plan.set_result(call, CallStatus.NO_MATCH, Code.ABSENT)
        elif text.find(source, at + 1, stop) >= 0:
            plan.set_result(call, CallStatus.NO_MATCH, Code.AMBIGUOUS)
        else:
            plan.set_result(call, CallStatus.APPLIED, None, 1)
            begin, end = _changed(source, target)
            if begin < len(source) - end or begin < len(target) - end:
                wanted.append((at + begin, at + len(source) - end, target[begin : len(target) - end], call))
    _place(region, offset, plan, wanted)


def _changed(source: str, target: str) -> tuple[int, int]:
    """Lengths of the common beginning and, behind it, of the common end."""
    shortest = min(len(source), len(target))
    begin = next((n for n in range(shortest) if source[n] != target[n]), shortest)
    rest = shortest - begin
    end = next((n for n in range(rest) if source[-1 - n] != target[-1 - n]), rest)
    return begin, end


def _place(region: Region, offset: int, plan: ChunkPlan, wanted: list[tuple[int, int, str, int]]) -> None:
    """Apply changes from right to left; of two at the same place, the earlier call's stands."""
    taken: list[tuple[int, int, str, int]] = []
    for change in sorted(wanted, key=lambda change: (change[0], change[1], change[3])):
        while taken and change[0] < taken[-1][1] or (taken and change[:2] == taken[-1][:2]):
            loser = change if taken[-1][3] < change[3] else taken.pop()
            plan.set_result(loser[3], CallStatus.REFUSED, Code.OVERLAP)
            if loser is change:
                break
        else:
            taken.append(change)
    region.patch(((start - offset, stop - offset, target, call) for start, stop, target, call in taken))
