"""The screen of a person who labels: the lines around the cursor, what the run did with them, and what is marked.

Gives rows of text; every character of a document is escaped. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from spark_prox.annotation.labelling import HELP, LineMarks
from spark_prox.terminal import Paint, shown_in

__all__ = ["label_screen"]

_LEAST_ROWS = 4
_MARKS = {True: "k", False: "r", None: " "}


def label_screen(
    state: LineMarks, lines: Sequence[str], *, title: str, rows: int, columns: int, paint: Paint
) -> list[str]:
    """The rows of the screen, at most `rows`, each of at most `columns` characters that take room.

    Args:
        title: which document this is; escaped here.
    """
    foot = [
        *(HELP if state.asks_help else ()),
        _state_line(state),
        f"> {state.typed}" if state.typed else state.message,
    ]
    room = max(rows - len(foot) - 1, _LEAST_ROWS)
    first = max(min(state.cursor - room // 2, len(lines) - room), 0)
    body = [
        _line(state, number, lines[number], columns, paint) for number in range(first, min(first + room, len(lines)))
    ]
    body += [""] * (room - len(body))
    head = paint("bold", shown_in(title, columns))
    return [head, *body, *(paint("dim", shown_in(line, columns)) for line in foot)]


def _line(state: LineMarks, number: int, line: str, columns: int, paint: Paint) -> str:
    removed = state.removed is not None and state.removed[number]
    mark = state.marks[number]
    here = ">" if number == state.cursor else " "
    text = shown_in(f"{here} {_MARKS[mark]} {'-' if removed else ' '} {number:5d}  {line}", columns)
    if number == state.cursor:
        return paint("reverse", text)
    if mark is not None:
        return paint("green" if mark else "red", text)
    return paint("yellow", text) if removed else text


def _state_line(state: LineMarks) -> str:
    marked = len(state.marks) - state.unmarked
    decided = "its decisions are hidden" if state.removed is None else f"the run removed {sum(state.removed):,}"
    return f"{len(state.marks):,} lines, {decided}, {marked:,} marked   ? for the keys"
