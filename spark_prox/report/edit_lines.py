"""A document's edits as lines for a terminal: what went is red, what came is green, with a little of what stayed.

Every character of the document is escaped. Time is linear in the text; knows no table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from spark_prox.programs import Edit, removed_lines
from spark_prox.terminal import Colour, Paint, shown

__all__ = ["edit_lines"]

_CONTEXT = 2
_AROUND = 16
Piece = tuple[str, str]
"""Text, and "" for what stays, "-" for what went, "+" for what came."""


def edit_lines(
    text: str, edits: Sequence[Edit], *, paint: Paint, width: int = 110, notes: Mapping[int, str] | None = None
) -> Iterator[str]:
    """One row for each line that was changed, and for those around it.

    Args:
        edits: of the text, ascending.
        notes: what to say of lines that stay; such a line counts as changed.
    """
    lines, notes = text.split("\n"), notes or {}
    starts = _starts(lines)
    gone = removed_lines(text, edits)
    inside = _inside(edits, starts)
    touched = sorted({*gone, *inside, *(number for number in notes if 0 <= number < len(lines))})
    for first, stop, is_shown in _stretches(touched, len(lines)):
        if not is_shown:
            yield paint("dim", f"           ... {stop - first:,} lines that stay")
            continue
        for number in range(first, stop):
            if number in gone:
                yield paint("red", shown(f"- {number:5d}  {lines[number]}", width))
            elif number in inside:
                yield from _changed(number, lines[number], starts[number], inside[number], paint, width)
            elif number in notes:
                note = f"  ({notes[number]})"
                yield paint("yellow", shown(f"? {number:5d}  {lines[number]}", width - len(note)) + note)
            else:
                yield shown(f"  {number:5d}  {lines[number]}", width)


def _starts(lines: Sequence[str]) -> list[int]:
    starts, place = [], 0
    for line in lines:
        starts.append(place)
        place += len(line) + 1
    return starts


def _inside(edits: Sequence[Edit], starts: Sequence[int]) -> dict[int, list[Edit]]:
    """Edits that are not of whole lines, by each line that they touch."""
    found: dict[int, list[Edit]] = {}
    for edit in edits:
        if edit.kind != "remove_lines":
            last = bisect_right(starts, max(edit.stop - 1, edit.start)) - 1
            for number in range(bisect_right(starts, edit.start) - 1, last + 1):
                found.setdefault(number, []).append(edit)
    return found


def _stretches(touched: Sequence[int], count: int) -> Iterator[tuple[int, int, bool]]:
    """[first, stop) of lines that are shown or left out, in order."""
    place = 0
    for number in touched:
        first, stop = max(number - _CONTEXT, place), min(number + _CONTEXT + 1, count)
        if first > place:
            yield place, first, False
        if stop > first:
            yield first, stop, True
        place = max(place, stop)
    if place < count:
        yield place, count, False


def _changed(number: int, line: str, start: int, edits: Sequence[Edit], paint: Paint, width: int) -> Iterator[str]:
    """The line before and after, with lines that were added around it."""
    added = [edit.inserted for edit in edits if edit.kind == "add_line"]
    for text in (text for text in added if text.endswith("\n")):
        yield from _added(text, paint, width)
    before: list[Piece] = []
    after: list[Piece] = []
    place, stop = start, start + len(line)
    for edit in edits:
        if edit.kind != "add_line":
            first, last = max(edit.start, start), min(edit.stop, stop)
            before += [(line[place - start : first - start], ""), (line[first - start : last - start], "-")]
            after += [(line[place - start : first - start], ""), (edit.inserted if edit.start >= start else "", "+")]
            place = max(place, last)
    if before:
        yield _row("-", number, [*before, (line[place - start :], "")], paint, width)
        yield _row("+", number, [*after, (line[place - start :], "")], paint, width)
    else:
        yield shown(f"  {number:5d}  {line}", width)
    for text in (text for text in added if not text.endswith("\n")):
        yield from _added(text, paint, width)


def _added(text: str, paint: Paint, width: int) -> Iterator[str]:
    for line in text.strip("\n").split("\n"):
        yield paint("green", shown(f"+        {line}", width))


def _row(sign: str, number: int, pieces: Sequence[Piece], paint: Paint, width: int) -> str:
    """A line in pieces; what went or came is in colour, the middle of what stays may be left out."""
    colour: Colour = "red" if sign == "-" else "green"
    parts, room = [paint(colour, f"{sign} {number:5d}  ")], width - 9
    for text, kind in pieces:
        part = shown(_middle_out(text) if not kind else text, max(room, 4))
        room -= len(part)
        parts.append(paint("reverse", paint(colour, part)) if kind else part)
        if room <= 0:
            break
    return "".join(parts)


def _middle_out(text: str) -> str:
    """Shorten a text that stays, so that a change behind it is seen."""
    return text if len(text) <= 2 * _AROUND else f"{text[:_AROUND]} ... {text[-_AROUND:]}"
