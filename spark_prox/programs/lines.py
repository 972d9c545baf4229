"""The places where the lines of a text begin, and disjoint runs of removed lines. Knows no program."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate, pairwise
from typing import NamedTuple

__all__ = ["LineIndex", "Removal", "disjoint_removals", "sure_removals"]


class LineIndex:
    """Offsets of the lines of one text; lines are separated by "\\n" alone."""

    def __init__(self, text: str) -> None:
        self._ends = [*accumulate(map(len, text.split("\n")))]  # without the newlines before

    def __len__(self) -> int:
        return len(self._ends)

    def start(self, line: int) -> int:
        """First character of a line; `line` may be one past the last, whose start is one past a final newline."""
        return self._ends[line - 1] + line if line else 0

    def end(self, line: int) -> int:
        """One past the last character of a line, its newline excluded."""
        return self._ends[line] + line

    def line_at(self, offset: int) -> int:
        """The line that a character is in; a newline belongs to the line it ends."""
        low, high = 0, len(self._ends) - 1
        while low < high:
            middle = (low + high) // 2
            if self._ends[middle] + middle < offset:
                low = middle + 1
            else:
                high = middle
        return low


class Removal(NamedTuple):
    """Lines `first` to `last`, both inclusive, removed by a call of a chunk program."""

    first: int
    last: int
    chunk: int
    call: int


def disjoint_removals(removals: list[Removal]) -> list[Removal]:
    """The same lines in ascending order, each under the first call that removed it. O(n log n) in the calls."""
    if all(left.last < right.first for left, right in pairwise(removals)):
        return removals
    firsts: list[int] = []
    lasts: list[int] = []
    kept: list[Removal] = []
    for removal in removals:
        low = bisect_left(lasts, removal.first)
        high = bisect_right(firsts, removal.last)
        position = removal.first
        for covered_first, covered_last in zip(firsts[low:high], lasts[low:high], strict=True):
            if position < covered_first:
                kept.append(removal._replace(first=position, last=covered_first - 1))
            position = covered_last + 1
        if position <= removal.last:
            kept.append(removal._replace(first=position))
        new_first = min(removal.first, firsts[low]) if low < high else removal.first
        new_last = max(removal.last, lasts[high - 1]) if low < high else removal.last
        firsts[low:high] = [new_first]
        lasts[low:high] = [new_last]
    kept.sort()
    return kept


def sure_removals(
    removals: Iterable[Removal], margins: Mapping[int, float], least_margin: Callable[[int], float]
) -> tuple[list[Removal], list[Removal]]:
    """Disjoint removals without the lines the model is unsure of, and those lines, each as one removal.

    Args:
        margins: log p(keep) - log p(remove) by line; a line without one is taken as sure.
        least_margin: least log p(remove) - log p(keep) for that line to go.
    """
    sure: list[Removal] = []
    unsure: list[Removal] = []
    for removal in removals:
        position = removal.first
        for line in range(removal.first, removal.last + 1):
            margin = margins.get(line)
            if margin is None or -margin >= least_margin(line):
                continue
            unsure.append(removal._replace(first=line, last=line))
            if position < line:
                sure.append(removal._replace(first=position, last=line - 1))
            position = line + 1
        if position <= removal.last:
            sure.append(removal._replace(first=position))
    return sure, unsure
