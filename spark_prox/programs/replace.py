"""String replacement that remembers: one region of text, replaced in again and again, as patches of its original.

Time and memory are bounded by a budget of searched characters and a limit on growth. A region knows which of its pieces
will be removed, because what touches those is lost: neighbouring patches that stay are never joined with one that goes.
Knows neither lines nor programs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

__all__ = ["MOST_PATCHES", "Patch", "Region"]

MOST_PATCHES = 1024
"""With more patches than this in a region, those between the same two removed pieces are recorded as one: still exact,
and no longer than the text."""


Patch = tuple[int, int, int, int, int]
"""Start and stop in the current text, start and stop in the original that they stand for, and who made it."""

_Match = tuple[int, int, int]
"""Start and stop in the current text, and by how much it grows."""


class Region:
    """A piece of text under replacement. `text` is its current state, `patches` lead back to the original.

    Args:
        removed: ascending, disjoint pieces of the original text, (start, stop), that will be removed.
    """

    def __init__(self, text: str, removed: Sequence[tuple[int, int]] = ()) -> None:
        self.text = text
        self.patches: list[Patch] = []
        self._removed = _Pieces(removed)

    def cost(self) -> int:
        """The cost of one more search, in characters."""
        return len(self.text) + 512 * len(self.patches) + 64

    def find_all(self, source: str) -> list[int]:
        """The places of `source`, left to right without overlap; stops after one more than `MOST_PATCHES`."""
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
            patches = _compose(self.patches, self._joined_matches(source, grown), owner)
        else:
            patches = _compose(self.patches, [(at, at + width, grown) for at in matches], owner)
        if count == 1:
            at = matches[0]
            self.text = self.text[:at] + target + self.text[at + width :]
        else:
            self.text = self.text.replace(source, target)
        if len(patches) > MOST_PATCHES:
            patches = [_joined(piece, owner) for piece in self._removed.grouped(patches)]
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

    def _joined_matches(self, source: str, grown: int) -> list[_Match]:
        """All matches, those between the same two removed pieces as one."""
        find, width = self.text.find, len(source)
        if not self._removed:
            return [(find(source), self.text.rfind(source) + width, grown * self.text.count(source))]
        place = self._removed.moved(self.patches).place
        joined: list[_Match] = []
        before: object = ()
        start = stop = total = 0
        position = find(source)
        while position >= 0:
            end = position + width
            where = place(position, end)
            if where != before:
                if total:
                    joined.append((start, stop, grown * total))
                before, start, total = where, position, 0
            stop = end
            total += 1
            position = find(source, end)
        joined.append((start, stop, grown * total))
        return joined


class _Pieces:
    """Ascending, disjoint pieces of a text, (start, stop)."""

    def __init__(self, pieces: Sequence[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in pieces]
        self._stops = [stop for _, stop in pieces]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def place(self, start: int, stop: int) -> tuple[int, bool]:
        """How many pieces end before a span, and whether it touches the next one."""
        passed = bisect_right(self._stops, start)
        return passed, passed < len(self._starts) and stop > self._starts[passed]

    def grouped(self, patches: Iterable[Patch]) -> Iterator[list[Patch]]:
        """Runs of patches that lie between the same two pieces, or touch the same one."""
        for _, run in groupby(patches, lambda patch: self.place(patch[2], patch[3])):
            yield list(run)

    def moved(self, patches: Sequence[Patch]) -> _Pieces:
        """The same pieces in the current text; one that ends inside a patch is extended over it."""
        begins = [patch[2] for patch in patches]

        def current(offset: int, side: int) -> int:
            number = bisect_right(begins, offset) - 1
            if number < 0:
                return offset
            begin, end, first, last, _ = patches[number]
            if offset >= last:
                return end + offset - last
            return end if side and offset > first else begin

        return _Pieces(
            [(current(start, 0), current(stop, 1)) for start, stop in zip(self._starts, self._stops, strict=True)]
        )


def _joined(patches: list[Patch], owner: int) -> Patch:
    head, tail = patches[0], patches[-1]
    return head if len(patches) == 1 else (head[0], tail[1], head[2], tail[3], owner)


def _compose(patches: list[Patch], matches: list[_Match], owner: int) -> list[Patch]:
    """Patches after each of `matches` (ascending, disjoint) grew; what overlaps becomes one patch.

    Two coordinates drift apart on the way: `drift` is current minus original text, from patches passed; `shift` is next
    minus current text, from matches passed.
    """
    merged: list[Patch] = []
    drift = shift = 0
    if not patches:
        for start, stop, grown in matches:
            merged.append((start + shift, stop + shift + grown, start, stop, owner))
            shift += grown
        return merged
    pieces: list[tuple[int, int, int, Patch | None]] = [(patch[0], patch[1], 0, patch) for patch in patches]
    pieces += [(*match, None) for match in matches]
    pieces.sort(key=lambda piece: piece[:2])
    opened = closed = opened_drift = opened_shift = whose = -1
    for start, stop, grown, patch in pieces:
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
