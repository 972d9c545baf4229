"""Show text of strangers on a terminal: what a page, a program or a file's name contains never moves the cursor.

Control and formatting characters are written as escapes, so that nothing hides. Knows no table.
"""

from __future__ import annotations

import unicodedata

__all__ = ["shown", "shown_lines"]

_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_WIDTH = 110


def shown(text: str, width: int = _WIDTH) -> str:
    """One line of at most `width` characters; what is left out shows as "..."."""
    escaped = "".join(map(_escaped, text[: 4 * width]))
    return escaped if len(escaped) <= width and len(text) <= 4 * width else escaped[: width - 3] + "..."


def shown_lines(text: str, lines: int = 40, width: int = _WIDTH) -> list[str]:
    """The first lines of a text, each as `shown`, and how many there are besides."""
    found = text.split("\n", lines)
    rest = found[lines:]
    more = [f"... {rest[0].count(chr(10)) + 1:,} lines more"] if rest else []
    return [shown(line, width) for line in found[:lines]] + more


def _escaped(character: str) -> str:
    if character == "\t":
        return "    "
    if unicodedata.category(character) not in _HIDDEN:
        return character
    point = ord(character)
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}" if point < 65536 else f"\\U{point:08x}"
