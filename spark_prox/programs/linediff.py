"""Which lines of a text went, came and changed, and what changed inside one.

Bounded for hostile sizes; knows no program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

__all__ = ["Change", "LinePlan", "diff_line", "plan_lines"]

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_PAIRS = 4_000_000
_WINDOW = 40
_LEAST_LIKENESS = 0.5


class Change(NamedTuple):
    """Characters `start` to `stop` of a line become `new`."""

    start: int
    stop: int
    new: str


class LinePlan(NamedTuple):
    """How lines become lines.

    Attributes:
        removed: original lines that went.
        changed: (original line, cleaned line) pairs that differ inside.
        added: (original line it comes after, -1 for the top; cleaned line).
    """

    removed: list[int]
    changed: list[tuple[int, int]]
    added: list[tuple[int, int]]


def plan_lines(before: Sequence[str], after: Sequence[str]) -> LinePlan:
    """Align two lists of lines."""
    plan = LinePlan([], [], [])
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    left, right = before[head : len(before) - tail], after[head : len(after) - tail]
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, left, right).get_opcodes():
        if tag != "equal":
            _plan_block(plan, before, after, range(head + i1, head + i2), range(head + j1, head + j2))
    if plan.changed or plan.added:  # difflib does not find the longest alignment; whole lines may be all that went
        removed = _only_removed(before, after)
        if removed is not None:
            return LinePlan(removed, [], [])
    return plan


def _only_removed(before: Sequence[str], after: Sequence[str]) -> list[int] | None:
    """The lines to remove from `before` to get `after`; None if that alone does not do."""
    removed: list[int] = []
    kept = 0
    for number, line in enumerate(before):
        if kept < len(after) and line == after[kept]:
            kept += 1
        else:
            removed.append(number)
    return removed if kept == len(after) else None


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def _plan_block(plan: LinePlan, before: Sequence[str], after: Sequence[str], olds: range, news: range) -> None:
    """Pair the lines of a changed block in order, each new line with the old one most like it."""
    position, last = olds.start, olds.start - 1
    same_size = len(olds) == len(news)
    for new in news:
        best, best_score = -1, _LEAST_LIKENESS
        for old in range(position, min(olds.stop, position + _WINDOW)):
            score = _likeness(before[old], after[new])
            if score > best_score:
                best, best_score = old, score
        if best < 0 and same_size and position == olds.start + new - news.start:
            best = position  # nothing alike, but as many lines before as after
        if best < 0:
            plan.added.append((last, new))
            continue
        plan.removed.extend(range(position, best))
        if before[best] != after[new]:
            plan.changed.append((best, new))
        position, last = best + 1, best
    plan.removed.extend(range(position, olds.stop))


def _likeness(old: str, new: str) -> float:
    """From 0 to 1; 1 for a line that some characters were only cut out of, if not nearly all."""
    if not new or not old:
        return 0.0
    if len(new) * 10 >= len(old) and _is_subsequence(new, old):
        return 1.0
    if len(old) * len(new) > _MOST_PAIRS:
        return 0.0
    return SequenceMatcher(None, old, new, autojunk=False).quick_ratio()


def _is_subsequence(short: str, long: str) -> bool:
    position = 0
    for character in short:
        position = long.find(character, position) + 1
        if not position:
            return False
    return True


def diff_line(old: str, new: str) -> list[Change] | None:
    """The changes in a line, ascending and disjoint, by whole tokens if possible; None if it is too long to tell."""
    if len(new) < len(old):
        cut = _single_cut(old, new)
        if cut is not None:
            return [cut]
    left, right = _TOKEN.findall(old), _TOKEN.findall(new)
    if len(left) * len(right) > _MOST_PAIRS:
        return None
    offsets = [0]
    for token in left:
        offsets.append(offsets[-1] + len(token))
    changes = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            changes += _inside(old[offsets[i1] : offsets[i2]], "".join(right[j1:j2]), offsets[i1])
    return changes


def _inside(old: str, new: str, offset: int) -> list[Change]:
    """A changed run of tokens; where it only lost characters, and less than half of them, those cuts."""
    if len(old) <= 2 * len(new) < 2 * len(old) and len(old) * len(new) <= _MOST_PAIRS and _is_subsequence(new, old):
        opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        return [Change(offset + i1, offset + i2, new[j1:j2]) for tag, i1, i2, j1, j2 in opcodes if tag != "equal"]
    return [Change(offset, offset + len(old), new)]


def _single_cut(old: str, new: str) -> Change | None:
    """The one cut that makes `new` of `old`, if one does; preferring to start at a blank or the line's start."""
    gone = len(old) - len(new)
    most = next((n for n, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(new))
    least = most
    while least and old[least - 1] == old[least - 1 + gone]:
        least -= 1
    if old[most + gone :] != new[most:]:
        return None
    for start in range(most, least - 1, -1):
        if start == 0 or old[start].isspace():
            return Change(start, start + gone, "")
    return Change(most, most + gone, "")
