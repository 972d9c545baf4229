"""Show text of strangers on a terminal: what a page, a program or a file's name contains never moves the cursor.

Control and formatting characters are written as escapes, so that nothing hides. Colour is for terminals only. Knows no
table.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Literal, TextIO

__all__ = ["PLAIN", "Colour", "Paint", "paint_for", "shown", "shown_in", "shown_lines"]

Colour = Literal["red", "green", "yellow", "blue", "dim", "bold", "reverse"]

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_WIDTH = 110


def shown(text: str, width: int = _WIDTH) -> str:
    """One line of at most `width` characters; what is left out shows as "..."."""
    escaped = "".join(map(_escaped, text[: 4 * width]))
    return escaped if len(escaped) <= width and len(text) <= 4 * width else escaped[: width - 3] + "..."


def shown_in(text: str, columns: int) -> str:
    """As `shown`, for a row of this many columns: characters of East Asian scripts take two."""
    escaped, used = shown(text, columns), 0
    for place, character in enumerate(escaped):
        used += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
        if used > columns:
            return escaped[:place]
    return escaped


def shown_lines(text: str, lines: int = 40, width: int = _WIDTH) -> list[str]:
    """The first lines of a text, each as `shown`, and how many there are besides."""
    found = text.split("\n", lines)
    rest = found[lines:]
    more = [f"... {rest[0].count(chr(10)) + 1:,} lines more"] if rest else []
    return [shown(line, width) for line in found[:lines]] + more


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Colours text, where colour is wanted. Its argument must be escaped already, see `shown`."""

    enabled: bool

    def __call__(self, colour: Colour, text: str) -> str:
        """The text in a colour."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.enabled and text else text


PLAIN = Paint(enabled=False)
"""For files, pipes and tests."""

_CODES: dict[Colour, int] = {"bold": 1, "dim": 2, "reverse": 7, "red": 31, "green": 32, "yellow": 33, "blue": 34}


def paint_for(stream: TextIO) -> Paint:
    """Colours for a stream: none unless it is a terminal, and none where NO_COLOR is set (https://no-color.org)."""
    return Paint(enabled=stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _escaped(character: str) -> str:
    if character == "\t":
        return "    "
    if unicodedata.category(character) not in _HIDDEN:
        return character
    point = ord(character)
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}" if point < 65536 else f"\\U{point:08x}"
