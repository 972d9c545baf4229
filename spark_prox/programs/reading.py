"""The result of reading a program: its calls and its errors, as the parser and the dialects hand them on.

Knows no spelling and no document.
"""

from __future__ import annotations

from typing import NamedTuple

from spark_prox.programs.errors import Code
from spark_prox.programs.ops import Op

__all__ = ["Call", "Noticed", "Reading"]


class Call(NamedTuple):
    """One call of a program.

    Attributes:
        name: as written.
        op: what it says; None where it is malformed.
        start: character of the program that it begins at.
        stop: one past its last.
        code: why it is malformed.
    """

    name: str
    op: Op | None
    start: int
    stop: int
    code: Code | None = None


class Noticed(NamedTuple):
    """Something wrong with a program.

    Attributes:
        start: character of the program at which it was noticed.
        call: index of the call; None for text that is no call.
        detail: the name of a call or parameter, where that says more.
    """

    code: Code
    start: int
    call: int | None = None
    detail: str = ""


class Reading(NamedTuple):
    """All calls of a program in order, and all that is wrong with it."""

    calls: list[Call]
    noticed: list[Noticed]
