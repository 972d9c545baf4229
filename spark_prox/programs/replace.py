"""String replacement that remembers: one region of text, replaced in again and again, as patches of its original.

Knows neither lines nor programs. Time and memory are bounded by a budget of searched characters and a limit on growth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Patch", "Region"]

_FINE_PATCHES = 4096
"""With more patches than this in a region they are recorded as one: still exact, and never more than the text itself."""


class Patch(NamedTuple):
    """Characters `start` to `stop` of the current text stand for `was_start` to `was_stop` of the original one."""

    start: int
    stop: int
    was_start: int
    was_stop: int
    call: int


class Region:
    """A piece of text under replacement. `text` is its current state, `patches` lead back to the original."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.patches: list[Patch] = []

    def cost(self) -> int:
        """What one more search costs, in characters."""
        return len(self.text) + 32 * len(self.patches) + 64

    def replace_all(self, source: str, target: str, count: int, call: int) -> None:
        """Replace all `count` (at least 1) occurrences of `source`, left to right without overlap, as `str.replace`."""
        text, grown = self.text, len(target) - len(source)
        if count > _FINE_PATCHES:
            first, last = text.find(source), text.rfind(source)
            matches = [first] if first == last else [first, last]
            merged = _compose(self.patches, [(first, last + len(source))], grown * count, call)
        else:
            matches, position, width = [], text.find(source), len(source)
            while position >= 0:
                matches.append(position)
                position = text.find(source, position + width)
            merged = _compose(self.patches, [(at, at + width) for at in matches], grown, call)
        self.text = text.replace(source, target)
        if len(merged) > _FINE_PATCHES:
            head, tail = merged[0], merged[-1]
            merged = [Patch(head.start, tail.stop, head.was_start, tail.was_stop, call)]
        self.patches = merged

    def patch(self, changes: Iterable[tuple[int, int, str, int]]) -> None:
        """Make the first changes: (start, stop, target, call), ascending and disjoint, in an untouched region."""
        pieces: list[str] = []
        position = shift = 0
        for start, stop, target, call in changes:
            pieces += (self.text[position:start], target)
            begin = start + shift
            self.patches.append(Patch(begin, begin + len(target), start, stop, call))
            shift += len(target) - (stop - start)
            position = stop
        pieces.append(self.text[position:])
        self.text = "".join(pieces)


def _compose(patches: list[Patch], matches: list[tuple[int, int]], grown: int, call: int) -> list[Patch]:
    """Patches after each of `matches` (ascending, disjoint) grew by `grown`; what overlaps becomes one patch.

    Two coordinates drift apart on the way: `drift` is current minus original text, from patches passed; `shift` is next
    minus current text, from matches passed.
    """
    if not patches:
        return [
            Patch(start + index * grown, stop + (index + 1) * grown, start, stop, call)
            for index, (start, stop) in enumerate(matches)
        ]
    spans = [(patch.start, patch.stop, patch) for patch in patches] + [(start, stop, None) for start, stop in matches]
    spans.sort(key=lambda span: span[:2])
    merged: list[Patch] = []
    drift = shift = 0
    opened = closed = opened_drift = opened_shift = owner = -1
    for start, stop, patch in spans:
        if not start < closed:  # what only touches the open patch does not join it
            if owner >= 0:
                merged.append(
                    Patch(opened + opened_shift, closed + shift, opened - opened_drift, closed - drift, owner)
                )
            opened, closed, opened_drift, opened_shift = start, stop, drift, shift
            owner = call if patch is None else patch.call
        closed = max(closed, stop)
        if patch is None:
            shift += grown
            owner = call
        else:
            drift += (patch.stop - patch.start) - (patch.was_stop - patch.was_start)
    merged.append(Patch(opened + opened_shift, closed + shift, opened - opened_drift, closed - drift, owner))
    return merged
