"""ReScraper (arXiv 2609.34287): a decision on the page, the lines to remove, the decision again, what it needs.

    <edit>                  <keep>, <edit>, <delete> or <rewrite>
    <extract>
    rm 1-3                  lines that are no content; ids count from 1, both inclusive
    <edit>
    rm 12
    sub 9: "| Share"        the first "| Share" of line 9 goes; behind <rewrite> stands new text instead

Two different decisions are one error, and the one that keeps more of the page counts. A `<delete>` or `<rewrite>`
settles the page: the lines that it also removes are not read. A payload of `<edit>` without any operation is new text,
as upstream reads it. A tag before `<extract>` may be missing, and so may `<extract>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spark_prox.programs.dialects.base import Bound, Dialect, Parameter, Signature, by_name, quote
from spark_prox.programs.errors import Code
from spark_prox.programs.ops import DropAll, KeepAll, Op, RemoveLines, ReplaceInLine, Rewrite
from spark_prox.programs.reading import Call, Noticed, Reading
from spark_prox.programs.thoughts import end_of_thought, next_mark, opens
from spark_prox.programs.values import line_number, unescape

__all__ = ["RESCRAPER"]

_DECISIONS = ("<keep>", "<edit>", "<rewrite>", "<delete>")  # from keeping most of the page to keeping least
_EXTRACT, _CUT = "<extract>", "<cut>"
_TAGS = (*_DECISIONS, _EXTRACT)
_ID = r"(?:<lid:([0-9]+)>|([0-9]+))"
_REMOVE = re.compile(rf"rm[ \t]+{_ID}(?:[ \t]*-[ \t]*{_ID})?")
_DELETE = re.compile(rf'sub[ \t]+{_ID}[ \t]*:[ \t]*"(.*)"', re.DOTALL)
_OPERATION = re.compile(r"(rm|sub)[ \t]*(?:(?=[0-9<:-])|\Z)")
_BLANK = " \t\r\f\v"


class _Line(NamedTuple):
    """One line of a program, without the blanks around it."""

    text: str
    start: int
    stop: int
    last: bool


class _Reader:
    """Reads one program line by line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.answer = _answer(text)
        self.found: list[Call] = []  # operations, malformed ones too
        self.payload = 0  # how many of them stand behind the last tag
        self.first: _Line | None = None
        self.decision: _Line | None = None  # the one that keeps most of the page
        self.decided = 0
        self.extracting = False
        self.conflict = -1
        self.stray: list[int] = []
        self.content = -1  # where the payload begins, if it may be text

    def read(self) -> Reading:
        """All calls, and what is wrong."""
        for line in self._lines():
            if line.text in _DECISIONS:
                self._decide(line)
                if self._says("<rewrite>") and (self.decided > 1 or self.extracting):
                    break
            elif line.text == _EXTRACT and not self.extracting:
                self.extracting, self.content = True, -1
            elif line.text and not line.text.startswith("```") and not self._operation(line):
                if self._says("<rewrite>"):
                    self.content = line.start if self.content < 0 else self.content
                    break
                self.stray.append(line.start)
        return self._result()

    def _says(self, tag: str) -> bool:
        return self.decision is not None and self.decision.text == tag

    def _lines(self) -> Iterator[_Line]:
        end_of_all = self.answer.pieces[-1][1]
        for start, stop in self.answer.pieces:
            position = start
            while position < stop:
                end = self.text.find("\n", position, stop)
                end = stop if end < 0 else end
                line = self.text[position:end]
                text = line.strip(_BLANK)
                at = position + len(line) - len(line.lstrip(_BLANK))
                yield _Line(text, at, at + len(text), end == end_of_all)
                position = end + 1

    def _decide(self, line: _Line) -> None:
        self.first = self.first or line
        if line.text != self.first.text and self.conflict < 0:
            self.conflict = line.start
        if self.decision is None or _DECISIONS.index(line.text) < _DECISIONS.index(self.decision.text):
            self.decision = line
        self.decided += 1
        self.payload = 0
        self.content = line.stop

    def _operation(self, line: _Line) -> bool:
        """Read a line that is an operation, or a broken one; False for any other line."""
        if line.last and self._is_cut(line):
            self.found.append(Call(line.text[:3].strip(), None, line.start, line.stop, Code.TRUNCATED))
            return True
        known = _OPERATION.match(line.text)
        if known is None:
            return False
        op = _op_of(line.text)
        code = None if op is not None else Code.UNREADABLE_ARGUMENTS
        self.found.append(Call(known[1], op, line.start, line.stop, code))
        self.payload += 1
        return True

    def _is_cut(self, line: _Line) -> bool:
        """True if the token limit may have cut off this line, the program's last: more tokens could change it."""
        if self.answer.cut:
            return True
        if line.stop < len(self.text):
            return False
        if any(tag.startswith(line.text) for tag in _TAGS) or line.text in ("r", "s", "su", "rm", "sub"):
            return True
        if line.text.startswith("sub"):
            return _op_of(line.text) is None
        unfinished = self.extracting and self.decided == 1
        return line.text.startswith("rm") and (unfinished or line.text.endswith("-"))

    def _result(self) -> Reading:
        calls = list(self.found)
        if self.decision is not None:
            tag, start, stop, _ = self.decision
            if tag == "<delete>":
                calls = [Call(tag, DropAll(), start, stop)]
            elif tag == "<rewrite>" or (tag == "<edit>" and self._is_text()):
                calls = [self._rewrite(tag, start)]
            elif tag == "<keep>" or not calls:
                calls.append(Call(tag, KeepAll(), start, stop))
        calls.sort(key=lambda call: call.start)
        noticed = [
            Noticed(call.code, call.start, index, call.name)
            for index, call in enumerate(calls)
            if call.code is not None
        ]
        noticed += [Noticed(Code.STRAY_TEXT, start) for start in self.stray]
        if self.conflict >= 0:
            noticed.append(Noticed(Code.CONFLICT, self.conflict))
        if self.answer.thinking:
            noticed.append(Noticed(Code.TRUNCATED, self.answer.pieces[-1][1]))
        return Reading(calls, noticed)

    def _is_text(self) -> bool:
        """True if the payload of an `<edit>` is no operation but text."""
        twice = self.decided > 1 or not self.extracting
        return twice and not self.payload and any(start >= self.content for start in self.stray)

    def _rewrite(self, name: str, start: int) -> Call:
        """The call that puts the payload in the page's place; malformed where there is none or not all of it."""
        begin = self.content if self.content >= 0 else len(self.text)
        pieces = self.answer.pieces
        content = "".join(self.text[max(first, begin) : last] for first, last in pieces if last > begin).strip()
        self.stray = [place for place in self.stray if place < begin]
        stop = max(start, pieces[-1][1])
        if self.answer.cut or self.answer.thinking:
            return Call(name, None, start, stop, Code.TRUNCATED)
        if not content:
            return Call(name, None, start, stop, Code.MISSING_ARGUMENT)
        return Call(name, Rewrite(content), start, stop)


class _Answer(NamedTuple):
    """A program without its thoughts.

    Attributes:
        pieces: where it stands in the text; at least one.
        cut: it says that the token limit cut it off.
        thinking: it ends in a thought.
    """

    pieces: list[tuple[int, int]]
    cut: bool
    thinking: bool


def _answer(text: str) -> _Answer:
    """Find the thoughts. A mark in a string that an operation quotes is a part of the string."""
    end = len(text)
    bare = text.rstrip()
    cut = bare.endswith(_CUT) and (len(bare) == len(_CUT) or bare[-len(_CUT) - 1] == "\n")
    if cut:
        end = max(0, len(bare) - len(_CUT) - 1)
    pieces: list[tuple[int, int]] = []
    position = search = line_stop = 0
    quoted = False
    while (mark := next_mark(text, search)) is not None and mark.start() < end:
        search = mark.end()
        if mark.start() >= line_stop:  # looked at once a line: a line may hold a million marks
            begin = max(text.rfind("\n", line_stop, mark.start()) + 1, position)
            line_stop = text.find("\n", mark.start(), end)
            line_stop = end if line_stop < 0 else line_stop
            quoted = _DELETE.fullmatch(text[begin:line_stop].strip(_BLANK)) is not None
        if quoted:
            continue
        if opens(mark):
            pieces.append((position, mark.start()))
            position = search = end_of_thought(text, mark)
            if position < 0:
                return _Answer(pieces, cut, thinking=True)
        else:
            pieces, position = [], mark.end()
    return _Answer([*pieces, (position, max(position, end))], cut, thinking=False)


def _op_of(line: str) -> Op | None:
    removal = _REMOVE.fullmatch(line)
    if removal is not None:
        first = line_number(removal[1] or removal[2]) - 1
        last = removal[3] or removal[4]
        return RemoveLines(first, line_number(last) - 1 if last else first)
    deletion = _DELETE.fullmatch(line)
    if deletion is None:
        return None
    verbatim = deletion[3]
    source = unescape(verbatim)
    line_at = line_number(deletion[1] or deletion[2]) - 1
    return ReplaceInLine(line_at, source, "", (verbatim, "") if verbatim != source else None, unique=False)


def _write(op: Op) -> str | None:
    match op:
        case KeepAll():
            return "<keep>"
        case DropAll():
            return "<delete>"
        case RemoveLines(first, last):
            return f"rm {first + 1}" if first == last else f"rm {first + 1}-{last + 1}"
        case ReplaceInLine(line, source, ""):
            return f"sub {line + 1}: {quote(source)}"
        case Rewrite(content):
            return f"<rewrite>\n{content}"
    return None


def _frame(written: Sequence[str]) -> str:
    """A program of operations that `_write` wrote: removals first go into the extraction, the rest behind it."""
    tag = next((line.partition("\n")[0] for line in written if line.startswith("<")), "<edit>")
    text = next((line.partition("\n")[2] for line in written if line.startswith("<rewrite>")), "")
    operations = [line for line in written if not line.startswith("<")]
    count = next((number for number, line in enumerate(operations) if not line.startswith("rm")), len(operations))
    parts = [tag, _EXTRACT, *operations[:count], tag, *operations[count:]]
    return "\n".join([*parts, text] if text else parts)


def _remove(arguments: Bound) -> Op:
    return RemoveLines(arguments.number("first") - 1, arguments.number("last") - 1)


def _sub(arguments: Bound) -> Op:
    return ReplaceInLine(arguments.number("line") - 1, arguments.text("deleted").value, unique=False)


RESCRAPER = Dialect(
    name="rescraper",
    first_line=1,
    calls=by_name(
        (
            Signature(
                names=("rm",),
                parameters=(Parameter(names=("first",), kind="line"), Parameter(names=("last",), kind="line")),
                build=_remove,
            ),
            Signature(
                names=("sub",),
                parameters=(Parameter(names=("line",), kind="line"), Parameter(names=("deleted",), kind="text")),
                build=_sub,
            ),
            Signature(names=("<keep>",), stage="both", build=lambda _: KeepAll()),
            Signature(names=("<edit>",), build=lambda _: KeepAll()),
            Signature(names=("<delete>",), stage="both", build=lambda _: DropAll()),
            Signature(
                names=("<rewrite>",),
                parameters=(Parameter(names=("content",), kind="text"),),
                build=lambda arguments: Rewrite(arguments.text("content").value),
            ),
        )
    ),
    write=_write,
    keep="<keep>\n<extract>\n<keep>",
    read=lambda text: _Reader(text).read(),
    frame=_frame,
    cut_mark="\n<cut>",
)
