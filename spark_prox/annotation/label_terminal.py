"""Keys from a terminal and a screen on it, for labelling: POSIX terminals, no package.

The terminal is put back as it was, whatever happens. Knows no labels.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from spark_prox.errors import SetupError

__all__ = ["KeyReader", "Screen"]

_ESCAPE_S = 0.05
_MOST_BYTES = 8
_LETTERS = (("A", "up"), ("B", "down"), ("H", "home"), ("F", "end"))
_NAMES = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
    "\x04": "q",  # end of input
    **{f"\x1b{start}{letter}": name for start in "[O" for letter, name in _LETTERS},
    "\x1b[5~": "pageup",
    "\x1b[6~": "pagedown",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
}


class KeyReader:
    """Reads keys from a file descriptor, with the names that `spark_prox.annotation.labelling.press` takes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def keys(self) -> Iterator[str]:
        """Every key; ends when the input does."""
        while first := os.read(self._descriptor, 1):
            if first == b"\x1b":
                yield _NAMES.get("\x1b" + self._rest_of_escape(), "escape")
            elif first[0] < 0x80:
                yield _NAMES.get(first.decode(), first.decode())
            else:
                yield self._character(first)

    def _rest_of_escape(self) -> str:
        """The characters that follow an escape at once, as arrows send them; none after the escape key alone."""
        found = b""
        while len(found) < _MOST_BYTES and select.select([self._descriptor], [], [], _ESCAPE_S)[0]:
            byte = os.read(self._descriptor, 1)
            found += byte
            if not byte or (len(found) > 1 and (byte.isalpha() or byte == b"~")):
                break
        return found.decode("ascii", "replace")

    def _character(self, first: bytes) -> str:
        """The character that begins with this byte."""
        more = 1 if first[0] < 0xE0 else 2 if first[0] < 0xF0 else 3
        return (first + b"".join(os.read(self._descriptor, 1) for _ in range(more))).decode("utf-8", "replace")


class Screen:
    """Context manager: standard input gives single keys, and standard output is drawn over.

    Raises:
        SetupError: NO_TERMINAL.
    """

    def __init__(self) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise SetupError(
                "NO_TERMINAL",
                "Labelling needs a terminal for input and output.",
                "Run the job in a terminal, without a pipe, and in client mode.",
            )
        self._descriptor = sys.stdin.fileno()
        self._before: list[Any] = []

    def __enter__(self) -> Screen:
        import termios
        import tty

        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        self._write("\x1b[0m\x1b[2J\x1b[H")

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that may be drawn on."""
        found = shutil.get_terminal_size()
        return found.lines - 1, found.columns - 1

    def keys(self) -> Iterator[str]:
        """See `KeyReader`."""
        return KeyReader(self._descriptor).keys()

    def draw(self, rows: Sequence[str]) -> None:
        """Show these rows and nothing else."""
        self._write("\x1b[H" + "".join(f"{row}\x1b[K\n" for row in rows) + "\x1b[J")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
