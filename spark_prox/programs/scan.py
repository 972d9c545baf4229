"""Cut a program's text into calls with argument values. Total and linear; knows no dialect.

A call counts only where a statement can begin: at the start of a line, after `;` or after another call. Everything else
(prose, fences, comments, `def` lines) is skipped. After a call that cannot be read, scanning goes on in the line after
the one it began in, as long as the re-read text stays within a budget, which keeps the whole linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spark_prox.programs.errors import Code

__all__ = ["MAX_LINE_NUMBER", "Argument", "LineNumber", "Quoted", "RawCall", "Stray", "scan_program", "unescape"]

MAX_LINE_NUMBER = 10**15
"""Longer numbers are cut to this: no document has that many lines, and int() of a million digits takes seconds."""

_BLANK = re.compile(r"[ \t\r\n\f\v]+")
_DECORATION = re.compile(
    r"""[ \t\r\n\f\v;,]+                                             # blanks and separators
      | \#[^\n]*                                                     # comment
      | `+(?:(?:python3?|py|text|plaintext|txt|code|bash|sh)\b(?![ \t]*\())?   # fence or inline code mark
      | </?(?:think|s|code|program)>                                 # marks that chat models print around code
      | (?:async[ \t]+)?def[ \t]+\w+[ \t]*\([^()\n]*\)[^:\n]*:       # wrapper
      | (?:pass|return)\b(?=[ \t\r;]*(?:\#[^\n]*)?(?:\n|\Z))         # its body's rest
      | return[ \t]+(?=[A-Za-z_]\w*[ \t]*\()
      | (?:import|from)[ \t]+[^\n]*                                  # imports
      | (?:>>>|\.\.\.)                                               # interpreter prompts
    """,
    re.VERBOSE | re.ASCII,
)
_BULLET = re.compile(r"(?:[-*+\u2022]+|[0-9]{1,4}[.)])[ \t]+|-{2,}[ \t]*(?=\n|\Z)")
_HEAD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*\(")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t\r\n\f\v]*=[ \t\r\n\f\v]*")
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


class Argument(NamedTuple):
    """One argument; `name` is None for a positional one."""

    name: str | None
    value: Value


class RawCall(NamedTuple):
    """A call at `start`; `arguments` is None, and `code` says why, when they cannot be read."""

    name: str
    start: int
    stop: int
    arguments: tuple[Argument, ...] | None
    code: Code | None = None
    noticed_at: int = 0


class Stray(NamedTuple):
    """Text from `start` to `stop` that is no call, and the identifier it begins with, if any."""

    start: int
    stop: int
    name: str


def scan_program(text: str, position: int = 0) -> list[RawCall | Stray]:
    """All calls and stray pieces from `position` to the end."""
    found: list[RawCall | Stray] = []
    budget = 2 * len(text) + 4096
    line_start = position == 0 or text[position - 1] == "\n"
    while True:
        position, line_start = _skip(text, position, line_start)
        if position >= len(text):
            return _cut_only_at_the_end(found)
        head = _HEAD.match(text, position)
        if head is None:
            stop = _end_of_line(text, position)
            name = _NAME.match(text, position)
            found.append(Stray(position, stop, name.group() if name else ""))
            position, line_start = stop, False
            continue
        call = _read_call(text, head)
        found.append(call)
        position, line_start = call.stop, False
        if call.arguments is None:
            resume = _end_of_line(text, call.start)
            budget -= max(0, call.noticed_at - resume)
            position = resume if budget >= 0 else _end_of_line(text, call.noticed_at)


def _cut_only_at_the_end(found: list[RawCall | Stray]) -> list[RawCall | Stray]:
    """A call that runs to the end but has other calls after it was never closed; it was not cut off."""
    later_call = False
    for index in range(len(found) - 1, -1, -1):
        item = found[index]
        if isinstance(item, RawCall):
            if later_call and item.code is Code.TRUNCATED:
                found[index] = item._replace(code=Code.UNREADABLE_ARGUMENTS)
            later_call = True
    return found


def _skip(text: str, position: int, line_start: bool) -> tuple[int, bool]:
    """Past everything that may stand before a call, and whether only such things stand before it in its line."""
    while True:
        decoration = _DECORATION.match(text, position)
        if decoration is not None and decoration.end() > position:
            line_start = line_start or "\n" in decoration.group()
            position = decoration.end()
            continue
        bullet = _BULLET.match(text, position) if line_start else None
        if bullet is None:
            return position, line_start
        position, line_start = bullet.end(), False


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _read_call(text: str, head: re.Match[str]) -> RawCall:
    name, start, position = head.group(1), head.start(), head.end()
    arguments: list[Argument] = []
    while True:
        position = _past_blanks(text, position)
        if text.startswith(")", position):
            return RawCall(name, start, position + 1, tuple(arguments))
        key = _KEY.match(text, position)
        if key is not None:
            position = key.end()
        value, after = _read_value(text, position)
        if after < 0:
            return _unreadable(text, name, start, ~after)
        arguments.append(Argument(key.group(1) if key is not None else None, value))
        position = _past_blanks(text, after)
        if text.startswith(",", position):
            position += 1
        elif not text.startswith(")", position):
            return _unreadable(text, name, start, position)


def _past_blanks(text: str, position: int) -> int:
    blanks = _BLANK.match(text, position)
    return blanks.end() if blanks is not None else position


def _unreadable(text: str, name: str, start: int, position: int) -> RawCall:
    code = Code.TRUNCATED if not text[position : position + 1] else Code.UNREADABLE_ARGUMENTS
    return RawCall(name, start, position, None, code, position)


def _read_value(text: str, position: int) -> tuple[Value, int]:
    """The value at `position` and where it ends; where it cannot be read, the complement of where that was noticed."""
    number = _NUMBER.match(text, position)
    if number is not None:
        return _line_number(number[1] or number[2] or number[3]), number.end()
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
    """Whether the text ends within something that more tokens could have made a value."""
    rest = text[position : position + 64]
    return (
        position + len(rest) == len(text)
        and re.fullmatch(r"\[[ \t]*[0-9]*|<(?:l(?:i(?:d(?::[0-9]*)?)?)?)?|-|[A-Za-z_]\w*", rest) is not None
    )


def _line_number(digits: str) -> LineNumber:
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
    first_newline = _end_of_line(text, start)
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
