"""From a program's text to its calls. Total: any text gives a parsed program and positioned errors.

Knows spellings through a dialect; knows nothing of the document, so a call may name lines that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from spark_prox.programs.dialects import Dialect, dialect_for
from spark_prox.programs.dialects.base import Malformed, bind
from spark_prox.programs.errors import Code, ProgramError
from spark_prox.programs.ops import Op
from spark_prox.programs.reading import Call, Noticed, Reading
from spark_prox.programs.scan import RawCall, Stray, Thought, scan_program

__all__ = ["ParsedProgram", "parse_program"]

_CACHED_CHARS = 1024
_UNCOUNTED = frozenset((Code.STRAY_TEXT, Code.TRUNCATED))


@dataclass(frozen=True)
class ParsedProgram:
    """A program that was read.

    Attributes:
        text: what was read.
        calls: all calls in order, malformed ones too.
        errors: what is wrong, in order of position.
        blank: whether the model wrote nothing at all.
    """

    text: str = field(repr=False)
    calls: tuple[Call, ...]
    errors: tuple[ProgramError, ...]
    blank: bool = False

    @property
    def program(self) -> tuple[Op, ...]:
        """The operations of the calls that could be read."""
        return tuple(call.op for call in self.calls if call.op is not None)

    def errors_at_calls(self, chunk: int, found: Iterable[tuple[Code, int]]) -> list[ProgramError]:
        """Errors that executing found, placed where their calls begin."""
        noticed = [Noticed(code, self.calls[call].start, call, self.calls[call].name) for code, call in found]
        return [replace(error, chunk=chunk, counted=True) for error in _placed(self.text, noticed)]


def parse_program(text: str, dialect: str = "prox") -> ParsedProgram:
    """Read a program; never raises for any text, takes time linear in its length.

    Raises:
        ConfigError: DIALECT_UNKNOWN.
    """
    if len(text) <= _CACHED_CHARS:
        return _parse_cached(text, dialect)
    return _parse(text, dialect_for(dialect))


@lru_cache(maxsize=4096)
def _parse_cached(text: str, dialect: str) -> ParsedProgram:
    return _parse(text, dialect_for(dialect))


def _parse(text: str, dialect: Dialect) -> ParsedProgram:
    calls, noticed = _read(text, dialect) if dialect.read is None else dialect.read(text)
    return ParsedProgram(text, tuple(calls), _placed(text, noticed), not calls and not text.strip())


def _read(text: str, dialect: Dialect) -> Reading:
    calls: list[Call] = []
    position = 0
    if dialect.quick is not None and dialect.read_quick is not None:
        match, read = dialect.quick.match, dialect.read_quick
        while (found := match(text, position)) is not None:
            start, position = position, found.end()
            name, op = read(found)
            calls.append(Call(name, op, start, position))
    if position == len(text) and calls:
        return Reading(calls, [])
    noticed: list[Noticed] = []
    for item in scan_program(text, position):
        if isinstance(item, RawCall):
            calls.append(_bind_call(item, dialect, len(calls), noticed))
        elif isinstance(item, Thought):
            if not item.start:  # it began with the text: what was read so far is a part of it
                calls, noticed = [], []
            if not item.closed:
                noticed.append(Noticed(Code.TRUNCATED, item.start))
        else:
            _note_stray(item, len(text), dialect, calls, noticed)
    return Reading(calls, noticed)


def _bind_call(raw: RawCall, dialect: Dialect, index: int, noticed: list[Noticed]) -> Call:
    signature = dialect.calls.get(raw.name)
    if raw.arguments is None:
        assert raw.code is not None
        noticed.append(Noticed(raw.code, raw.noticed_at, index, raw.name if signature else ""))
        return Call(raw.name, None, raw.start, raw.stop, raw.code)
    if signature is None:
        noticed.append(Noticed(Code.UNKNOWN_CALL, raw.start, index))
        return Call(raw.name, None, raw.start, raw.stop, Code.UNKNOWN_CALL)
    op = bind(signature, raw.arguments)
    if isinstance(op, Malformed):
        noticed.append(Noticed(op.code, raw.start, index, op.parameter or raw.name))
        return Call(raw.name, None, raw.start, raw.stop, op.code)
    return Call(raw.name, op, raw.start, raw.stop)


def _note_stray(stray: Stray, size: int, dialect: Dialect, calls: list[Call], noticed: list[Noticed]) -> None:
    """Text that is no call is skipped; a call's bare name is a malformed call, or a cut one at the very end."""
    code = Code.STRAY_TEXT
    whole = stray.name and stray.stop - stray.start == len(stray.name)
    if whole and stray.stop == size and any(name.startswith(stray.name) for name in dialect.calls):
        code = Code.TRUNCATED
    elif whole and stray.name in dialect.calls:
        code = Code.NO_PARENTHESES
    if code is Code.STRAY_TEXT:
        noticed.append(Noticed(code, stray.start))
        return
    noticed.append(Noticed(code, stray.start, len(calls)))
    calls.append(Call(stray.name, None, stray.start, stray.stop, code))


def _placed(text: str, noticed: list[Noticed]) -> tuple[ProgramError, ...]:
    """Errors with line and column; `noticed` may be slightly out of order, the result is not."""
    errors: list[ProgramError] = []
    line, line_start, counted_to = 0, 0, 0
    for code, start, call, detail in sorted(noticed, key=lambda item: item.start):
        passed = text.count("\n", counted_to, start)
        if passed:
            line += passed
            line_start = text.rfind("\n", counted_to, start) + 1
        counted_to = max(counted_to, start)
        errors.append(
            ProgramError(
                code=code,
                start=start,
                line=line,
                column=start - line_start,
                call=call,
                counted=code not in _UNCOUNTED,
                detail=detail,
            )
        )
    return tuple(errors)
