"""Cut a program's text into calls with argument values. Total and linear; knows no dialect.

A call counts only where a statement can begin: at the start of a line, after `;` or after another call. Everything else
(prose, fences, comments, `def` lines) is skipped, and so is what a model thought, with all calls in it; a mark of a
thought inside a call's string is part of the string. After a call that cannot be read, scanning goes on in the line
after the one it began in, as long as the re-read text stays within a budget, which keeps the whole linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from spark_prox.programs.errors import Code
from spark_prox.programs.thoughts import end_of_thought, next_mark, opens
from spark_prox.programs.values import Value, read_value

__all__ = ["Argument", "RawCall", "Stray", "Thought", "scan_program"]

_BLANK = re.compile(r"[ \t\r\n\f\v]+")
_DECORATION = re.compile(
    r"""[ \t\r\n\f\v;,]+                                             # blanks and separators
      | \#[^\n]*                                                     # comment
      | `+(?:(?:python3?|py|text|plaintext|txt|code|bash|sh)\b(?![ \t]*\())?   # fence or inline code mark
      | </?(?:s|code|program)>                                       # marks that chat models print around code
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


class Thought(NamedTuple):
    """Text from `start` to `stop` that a model thought; `closed` is False where the text ends in it.

    One that starts at 0 makes all calls before its end a part of the thought.
    """

    start: int
    stop: int
    closed: bool


def scan_program(text: str, position: int = 0) -> list[RawCall | Stray | Thought]:
    """All calls, stray pieces and thoughts from `position` to the end."""
    found: list[RawCall | Stray | Thought] = []
    budget = 2 * len(text) + 4096
    line_start = position == 0 or text[position - 1] == "\n"
    mark = next_mark(text)
    while True:
        while mark is not None and mark.start() < position:  # inside a string of a call
            mark = next_mark(text, position)
        limit = len(text) if mark is None else mark.start()
        position, line_start = _skip(text, position, limit, line_start)
        if position >= limit:
            if mark is None:
                return _cut_only_at_the_end(found)
            if opens(mark):
                stop = end_of_thought(text, mark)
                found.append(Thought(limit, stop if stop >= 0 else len(text), stop >= 0))
            else:
                found = [Thought(0, mark.end(), True)]
            position, line_start = found[-1].stop, True
            continue
        head = _HEAD.match(text, position, limit)
        if head is None:
            stop = _end_of_line(text, position, limit)
            name = _NAME.match(text, position, limit)
            found.append(Stray(position, stop, name.group() if name else ""))
            position, line_start = stop, False
            continue
        call = _read_call(text, head)
        found.append(call)
        position, line_start = call.stop, False
        if call.arguments is None:
            resume = _end_of_line(text, call.start, limit)
            budget -= max(0, call.noticed_at - resume)
            position = resume if budget >= 0 else _end_of_line(text, call.noticed_at)
            if budget < 0 and limit < position:  # what cannot be read hides where a thought ends: trust nothing
                return [Thought(0, len(text), False)]


def _cut_only_at_the_end(found: list[RawCall | Stray | Thought]) -> list[RawCall | Stray | Thought]:
    """A call that runs to the end but has other calls after it was never closed; it was not cut off."""
    later_call = False
    for index in range(len(found) - 1, -1, -1):
        item = found[index]
        if isinstance(item, RawCall):
            if later_call and item.code is Code.TRUNCATED:
                found[index] = item._replace(code=Code.UNREADABLE_ARGUMENTS)
            later_call = True
    return found


def _skip(text: str, position: int, limit: int, line_start: bool) -> tuple[int, bool]:
    """Past everything that may stand before a call, and whether only such things stand before it in its line."""
    while True:
        decoration = _DECORATION.match(text, position, limit)
        if decoration is not None and decoration.end() > position:
            line_start = line_start or "\n" in decoration.group()
            position = decoration.end()
            continue
        bullet = _BULLET.match(text, position, limit) if line_start else None
        if bullet is None:
            return position, line_start
        position, line_start = bullet.end(), False


def _end_of_line(text: str, position: int, limit: int | None = None) -> int:
    limit = len(text) if limit is None else limit
    end = text.find("\n", position, limit)
    return limit if end < 0 else end


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
        value, after = read_value(text, position)
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
