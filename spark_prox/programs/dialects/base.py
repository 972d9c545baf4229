"""A dialect: the names and parameters of its calls, how they become operations, and how operations are written.

A dialect whose programs are no calls brings a reader of its own.

Knows no particular dialect and no document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spark_prox.programs.errors import Code
from spark_prox.programs.ops import Op
from spark_prox.programs.reading import Reading
from spark_prox.programs.scan import Argument
from spark_prox.programs.values import LineNumber, Quoted

__all__ = ["Bound", "Dialect", "Malformed", "Parameter", "Signature", "bind", "quote"]


class Bound(dict[str, "LineNumber | Quoted | bool"]):
    """Argument values by parameter name, of the declared kinds."""

    def number(self, name: str) -> int:
        """The value of a "line" parameter that is present."""
        value = self[name]
        assert isinstance(value, LineNumber)
        return int(value)

    def text(self, name: str) -> Quoted:
        """The value of a "text" parameter; the empty string if absent."""
        value = self.get(name, Quoted("", ""))
        assert isinstance(value, Quoted)
        return value


class Malformed(NamedTuple):
    """Why a call's arguments do not fit."""

    code: Code
    parameter: str = ""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter: its spellings, the first one canonical, and the kind of value it takes."""

    names: tuple[str, ...]
    kind: Literal["line", "text", "flag"]
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One call: its spellings, its parameters in positional order and the operation it stands for.

    Attributes:
        stage: where it is a verdict or an edit: "doc", "chunk" or "both".
        build: from bound arguments to the operation; line numbers are still the dialect's own.
    """

    names: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    stage: Literal["doc", "chunk", "both"] = "chunk"
    build: Callable[[Bound], Op | Malformed]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One spelling of the language.

    Attributes:
        calls: signatures by every spelling.
        first_line: the number by which the dialect calls the first line.
        write: an operation in the dialect's words; None where it has none for it.
        keep: the program that edits nothing.
        quick: a pattern for the calls that make up nearly all real programs, each in a line of its own, as
            `spark_prox.programs.express` takes it; reads what the scanner would.
        read_quick: name and operation of a call that `quick` matched.
        read: reads a whole program, in time linear in its length, where it is not written as calls; `calls` then say at
            which level each name may stand. Never raises.
        frame: puts written operations together to a program; None: one a line.
        cut_mark: what a program that the token limit cut off is stored with, where nothing else tells it from a whole
            one.
    """

    name: str
    calls: Mapping[str, Signature]
    first_line: int = 0
    write: Callable[[Op], str | None]
    keep: str
    quick: re.Pattern[str] | None = None
    read_quick: Callable[[re.Match[str]], tuple[str, Op]] | None = None
    read: Callable[[str], Reading] | None = None
    frame: Callable[[Sequence[str]], str] | None = None
    cut_mark: str = ""


def by_name(signatures: Sequence[Signature]) -> dict[str, Signature]:
    """Signatures under every one of their names."""
    return {name: signature for signature in signatures for name in signature.names}


def bind(signature: Signature, arguments: tuple[Argument, ...]) -> Op | Malformed:
    """The operation of a call, or what is wrong with its arguments."""
    bound = Bound()
    for position, (name, value) in enumerate(arguments):
        if name is None:
            if position >= len(signature.parameters):
                return Malformed(Code.TOO_MANY_ARGUMENTS)
            parameter = signature.parameters[position]
        else:
            named = next((p for p in signature.parameters if name in p.names), None)
            if named is None:
                return Malformed(Code.UNKNOWN_ARGUMENT)
            parameter = named
        key = parameter.names[0]
        if key in bound:
            return Malformed(Code.REPEATED_ARGUMENT, key)
        if value is None or not _fits(parameter, value):
            return Malformed(Code.WRONG_TYPE, key)
        bound[key] = value
    for parameter in signature.parameters:
        if parameter.required and parameter.names[0] not in bound:
            return Malformed(Code.MISSING_ARGUMENT, parameter.names[0])
    return signature.build(bound)


def _fits(parameter: Parameter, value: object) -> bool:
    if parameter.kind == "line":
        return isinstance(value, LineNumber) and value >= 0
    if parameter.kind == "text":
        return isinstance(value, Quoted)
    return isinstance(value, bool)


_SPECIAL = re.compile(r'[\\"\n\r\t]')
_WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """A string literal that every reader of this language reads as `text`."""
    return f'"{_SPECIAL.sub(lambda match: _WRITTEN[match.group()], text)}"'
