"""String replacement that remembers: one region of text, replaced in again and again, as patches of its original.

Knows neither lines nor programs. Time and memory are bounded by a budget of searched characters and a limit on growth.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["MOST_PATCHES", "Patch", "Region"]

MOST_PATCHES = 1024
"""With more patches than this in a region they are recorded as one: still exact, and no longer than the text."""


Patch = tuple[int, int, int, int, int]
"""Start and stop in the current text, start and stop in the original that they stand for, and who made it."""


class Region:
    """A piece of text under replacement. `text` is its current state, `patches` lead back to the original."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.patches: list[Patch] = []

    def cost(self) -> int:
        """What one more search costs, in characters."""
        return len(self.text) + 512 * len(self.patches) + 64

    def find_all(self, source: str) -> list[int]:
        """Where `source` occurs, left to right without overlap; stops after one more than `MOST_PATCHES`."""
        matches: list[int] = []
        if not source:
            return matches
        find, width = self.text.find, len(source)
        position = find(source)
        while position >= 0 and len(matches) <= MOST_PATCHES:
            matches.append(position)
            position = find(source, position + width)
        return matches

    def replace_all(self, source: str, target: str, matches: list[int], count: int, owner: int) -> None:
        """Replace all `count` occurrences of `source`, of which `matches` are the first, as `str.replace` does."""
        width, grown = len(source), len(target) - len(source)
        if count > len(matches):
            spans = [(matches[0], self.text.rfind(source) + width)]
            patches = _compose(self.patches, spans, grown * count, owner)
        else:
            patches = _compose(self.patches, [(at, at + width) for at in matches], grown, owner)
        if count == 1:
            at = matches[0]
            self.text = self.text[:at] + target + self.text[at + width :]
        else:
            self.text = self.text.replace(source, target)
        if len(patches) > MOST_PATCHES:
            head, tail = patches[0], patches[-1]
            patches = [(head[0], tail[1], head[2], tail[3], owner)]
        self.patches = patches

    def patch(self, changes: Iterable[tuple[int, int, str, int]]) -> None:
        """Make the first changes: (start, stop, target, owner), ascending and disjoint, in an untouched region."""
        pieces: list[str] = []
        position = shift = 0
        for start, stop, target, owner in changes:
            pieces += (self.text[position:start], target)
            begin = start + shift
            self.patches.append((begin, begin + len(target), start, stop, owner))
            shift += len(target) - (stop - start)
            position = stop
        pieces.append(self.text[position:])
        self.text = "".join(pieces)


def _compose(patches: list[Patch], matches: list[tuple[int, int]], grown: int, owner: int) -> list[Patch]:
    """Patches after each of `matches` (ascending, disjoint) grew by `grown`; what overlaps becomes one patch.

    Two coordinates drift apart on the way: `drift` is current minus original text, from patches passed; `shift` is next
    minus current text, from matches passed.
    """
    if not patches:
        return [
            (start + number * grown, stop + (number + 1) * grown, start, stop, owner)
            for number, (start, stop) in enumerate(matches)
        ]
    pieces: list[tuple[int, int, Patch | None]] = [(patch[0], patch[1], patch) for patch in patches]
    pieces += [(start, stop, None) for start, stop in matches]
    pieces.sort(key=lambda piece: piece[:2])
    merged: list[Patch] = []
    drift = shift = 0
    opened = closed = opened_drift = opened_shift = whose = -1
    for start, stop, patch in pieces:
        if not start < closed:  # what only touches the open patch does not join it
            if whose >= 0:
                merged.append((opened + opened_shift, closed + shift, opened - opened_drift, closed - drift, whose))
            opened, closed, opened_drift, opened_shift = start, stop, drift, shift
            whose = owner if patch is None else patch[4]
        closed = max(closed, stop)
        if patch is None:
            shift += grown
            whose = owner
        else:
            drift += (patch[1] - patch[0]) - (patch[3] - patch[2])
    merged.append((opened + opened_shift, closed + shift, opened - opened_drift, closed - drift, whose))
    return merged
