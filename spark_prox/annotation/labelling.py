"""Label the lines of a document key by key: a pure function from what is marked and a key to what is marked then.

A line is marked keep or remove. A line without a mark takes the run's decision when the document is stored, so a person
says only where the run is wrong; without decisions to start from every line needs a mark. Knows no terminal, no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["HELP", "Ending", "LineMarks", "begin", "press"]

Ending = Literal["stored", "skipped", "quit"]

HELP = (
    "k keep, r remove, w the run is wrong here: mark this line, go to the next",
    "12-18 k marks lines 12 to 18, and 3,7,12-18 r several; K, R: all unmarked lines",
    "j down, p up, space and b a page, 12 g: to line 12, n: the next unmarked line",
    "u undo, Enter: store; unmarked lines are as the run decided, s skip, q quit",
)
"""The keys, for the screen."""

_UNDO = 1_000
_PAGE = 20
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_VERBS = {"k": "keep", "r": "remove", "w": "wrong"}


@dataclass(frozen=True, kw_only=True)
class LineMarks:
    """One document while a person labels it.

    Attributes:
        removed: which lines the run removed; None hides its decisions.
        marks: True for keep, False for remove, None for a line without a mark.
        cursor: the line that a key marks.
        typed: line numbers that were typed for the next key.
        message: what to tell the person.
        asks_help: whether the keys are shown.
        ending: what becomes of the document; None while it goes on.
        past: marks and cursor before each change, for undo.
    """

    removed: tuple[bool, ...] | None
    marks: tuple[bool | None, ...]
    cursor: int = 0
    typed: str = ""
    message: str = ""
    asks_help: bool = False
    ending: Ending | None = None
    past: tuple[tuple[tuple[bool | None, ...], int], ...] = field(default=(), repr=False)

    @property
    def unmarked(self) -> int:
        """Lines that have no mark."""
        return self.marks.count(None)

    def keep(self) -> tuple[bool, ...]:
        """The label of every line: its mark, else the run's decision; a hidden decision does not count."""
        decided = self.removed if self.removed is not None else (False,) * len(self.marks)
        return tuple(not gone if mark is None else mark for mark, gone in zip(self.marks, decided, strict=True))


def begin(lines: int, removed: Sequence[bool] | None) -> LineMarks:
    """A document without a mark.

    Args:
        lines: how many it has.
        removed: which of them the run removed; None hides its decisions.
    """
    return LineMarks(removed=None if removed is None else tuple(removed), marks=(None,) * lines)


def press(state: LineMarks, key: str) -> LineMarks:
    """The state after a key.

    Args:
        key: one character, or the name of a key: up, down, pageup, pagedown, home, end, enter, backspace, escape.
    """
    state = replace(state, message="")
    if key.isdecimal() or key in ("-", ","):
        return replace(state, typed=(state.typed + key)[:60])
    if key == "backspace":
        return replace(state, typed=state.typed[:-1])
    if key in _VERBS:
        return _mark(state, key)
    act = _ACTIONS.get(key)
    return replace(act(state) if act else replace(state, message=f"{key!r:.12} does nothing; ? for the keys"), typed="")


def _mark(state: LineMarks, key: str) -> LineMarks:
    """Mark the typed lines, else the line under the cursor."""
    if key == "w" and state.removed is None:
        return replace(state, typed="", message="the run's decisions are hidden: mark the line with k or r")
    chosen = _chosen(state)
    if isinstance(chosen, str):
        return replace(state, typed="", message=chosen)
    marks = list(state.marks)
    for number in chosen:
        marks[number] = key == "k" if state.removed is None or key != "w" else state.removed[number]
    last = len(state.marks) - 1
    cursor = state.cursor if state.typed else min(state.cursor + 1, last)
    return replace(_changed(state, marks), typed="", cursor=cursor, message=_said(key, chosen, state))


def _said(key: str, chosen: Sequence[int], state: LineMarks) -> str:
    return f"{_VERBS[key]}: {len(chosen):,} lines" if state.typed else ""


def _chosen(state: LineMarks) -> Sequence[int] | str:
    """The lines that a key is for, or what is wrong with those that were typed."""
    if not state.typed:
        return (state.cursor,)
    found: set[int] = set()
    for part in state.typed.strip(",").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            return f"{part:.20} is no line and no range such as 12-18"
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= len(state.marks):
            return f"there are lines 0 to {len(state.marks) - 1:,}; {part:.20} is not among them"
        found.update(range(first, last + 1))
    return sorted(found)


def _changed(state: LineMarks, marks: Sequence[bool | None]) -> LineMarks:
    if tuple(marks) == state.marks:
        return state
    return replace(state, marks=tuple(marks), past=(*state.past, (state.marks, state.cursor))[-_UNDO:])


def _rest(keep: bool) -> Callable[[LineMarks], LineMarks]:
    def mark(state: LineMarks) -> LineMarks:
        marks = [keep if mark is None else mark for mark in state.marks]
        said = f"{'keep' if keep else 'remove'}: the other {state.unmarked:,} lines"
        return replace(_changed(state, marks), message=said)

    return mark


def _undo(state: LineMarks) -> LineMarks:
    if not state.past:
        return replace(state, message="nothing to undo in this document")
    (marks, cursor), past = state.past[-1], state.past[:-1]
    return replace(state, marks=marks, cursor=cursor, past=past)


def _move(lines: int) -> Callable[[LineMarks], LineMarks]:
    def move(state: LineMarks) -> LineMarks:
        return replace(state, cursor=min(max(state.cursor + lines, 0), len(state.marks) - 1))

    return move


def _go(state: LineMarks) -> LineMarks:
    chosen = _chosen(state)
    return replace(state, message=chosen) if isinstance(chosen, str) else replace(state, cursor=chosen[0])


def _next_unmarked(state: LineMarks) -> LineMarks:
    after: Iterator[int] = (
        number for number in range(state.cursor + 1, len(state.marks)) if state.marks[number] is None
    )
    first = next(after, None)
    if first is None:
        first = next((number for number, mark in enumerate(state.marks) if mark is None), None)
    return replace(state, message="every line has a mark") if first is None else replace(state, cursor=first)


def _store(state: LineMarks) -> LineMarks:
    if state.removed is None and state.unmarked:
        return replace(
            state, message=f"{state.unmarked:,} lines have no mark: n for the next one, K or R for all of them"
        )
    return replace(state, ending="stored")


_ACTIONS: dict[str, Callable[[LineMarks], LineMarks]] = {
    "K": _rest(True),
    "R": _rest(False),
    "u": _undo,
    "j": _move(1),
    "down": _move(1),
    "p": _move(-1),
    "up": _move(-1),
    " ": _move(_PAGE),
    "pagedown": _move(_PAGE),
    "b": _move(-_PAGE),
    "pageup": _move(-_PAGE),
    "home": _move(-(10**9)),
    "end": _move(10**9),
    "g": _go,
    "n": _next_unmarked,
    "enter": _store,
    "s": lambda state: replace(state, ending="skipped"),
    "q": lambda state: replace(state, ending="quit"),
    "?": lambda state: replace(state, asks_help=not state.asks_help),
    "escape": lambda state: state,
}
