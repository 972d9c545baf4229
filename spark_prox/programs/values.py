"""Read the value of one argument: a line number, a string, a truth value. Knows no call and no dialect."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["MAX_LINE_NUMBER", "LineNumber", "Quoted", "Value", "line_number", "read_value", "unescape"]

MAX_LINE_NUMBER = 10**15
"""Longer numbers are cut to this: no document has that many lines, and int() of a million digits takes seconds."""

_NUMBER = re.compile(r"(?:\[[ \t]*([0-9]+)[ \t]*\]|<lid:([0-9]+)>|(-?[0-9]+))(?![\w.])", re.ASCII)
_WORD = re.compile(r"(?:True|False|None|true|false|null)\b(?!\()")
_QUOTE = re.compile(r"""[rRuUbBfF]{0,2}(\"\"\"|'''|"|')""")
_CLOSES = re.compile(r"[ \t\r\n\f\v]*[,)]")
_ESCAPE = re.compile(r"""\\(?:([\\"'ntr])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|\n)""")
_PLAIN = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}


class LineNumber(int):
    """A bare integer, also in the prompts' spellings `[003]` and `<lid:3>`."""


class Quoted(NamedTuple):
    """A string: its characters as written, and with escapes resolved."""

    verbatim: str
    value: str


Value = LineNumber | Quoted | bool | None


def read_value(text: str, position: int) -> tuple[Value, int]:
    """The value at `position` and where it ends; where it cannot be read, the complement of where that was noticed."""
    number = _NUMBER.match(text, position)
    if number is not None:
        return line_number(number[1] or number[2] or number[3]), number.end()
    quote = _QUOTE.match(text, position)
    if quote is not None:
        return _read_string(text, quote)
    word = _WORD.match(text, position)
    if word is not None:
        return {"T": True, "F": False}.get(word.group()[0].upper()), word.end()
    if _could_continue(text, position):
        return None, ~len(text)
    return None, ~position


def _could_continue(text: str, position: int) -> bool:
    """True if the text ends within something that more tokens could have made a value."""
    rest = text[position : position + 64]
    return (
        position + len(rest) == len(text)
        and re.fullmatch(r"\[[ \t]*[0-9]*|<(?:l(?:i(?:d(?::[0-9]*)?)?)?)?|-|[A-Za-z_]\w*", rest) is not None
    )


def line_number(digits: str) -> LineNumber:
    """A number of any length, cut to `MAX_LINE_NUMBER`."""
    negative = digits.startswith("-")
    digits = digits.lstrip("-").lstrip("0")
    size = MAX_LINE_NUMBER if len(digits) > 15 else int(digits or "0")
    return LineNumber(-size if negative else size)


def _read_string(text: str, quote: re.Match[str]) -> tuple[Value, int]:
    """A string up to its closing quote.

    A lone quote that neither `,` nor `)` follows in the same line is taken as part of the string: models that were
    trained on raw text do not escape quotes.
    """
    mark, start = quote.group(1), quote.end()
    first_newline = text.find("\n", start)
    if first_newline < 0:
        first_newline = len(text)
    search, checked = start, start
    while True:
        end = text.find(mark, search)
        if end < 0:
            return None, ~len(text)
        slashes = end
        while slashes > checked and text[slashes - 1] == "\\":
            slashes -= 1
        if (end - slashes) % 2:
            search = checked = end + 1
            continue
        if len(mark) == 3 or end > first_newline or end + 1 >= len(text) or _CLOSES.match(text, end + 1):
            break
        search = checked = end + 1
    body = text[start:end]
    if "\\" not in body or "r" in quote.group().lower():
        return Quoted(body, body), end + len(mark)
    return Quoted(body, unescape(body)), end + len(mark)


def unescape(body: str) -> str:
    r"""Resolve `\\ \" \' \n \t \r \xHH \uHHHH \UHHHHHHHH`; any other backslash stays, as do surrogates."""
    return _ESCAPE.sub(_resolve, body)


def _resolve(match: re.Match[str]) -> str:
    plain = match.group(1)
    if plain is not None:
        return _PLAIN[plain]
    digits = match.group(2) or match.group(3) or match.group(4)
    if digits is None:
        return ""
    point = int(digits, 16)
    return match.group() if 0xD800 <= point <= 0xDFFF or point > 0x10FFFF else chr(point)
