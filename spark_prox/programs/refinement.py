"""The result of executing programs on a document: text, outcome, edits, errors, counts.

Records are made when they are asked for: many callers read the text alone. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from spark_prox.programs.edits import Edit
from spark_prox.programs.errors import CallStatus, Code, ProgramError
from spark_prox.programs.lines import LineIndex
from spark_prox.programs.ops import Op
from spark_prox.programs.parse import ParsedProgram
from spark_prox.programs.words import count_words

__all__ = ["CallResult", "ChunkTrace", "Outcome", "Record", "Refinement", "Span", "express_refinement"]


class Outcome(str, Enum):
    """The outcome of a document."""

    KEPT = "KEPT"  # unchanged, and nothing stood against that
    EDITED = "EDITED"
    DROPPED = "DROPPED"  # has no refined text
    REFUSED = "REFUSED"  # unchanged, because the policy stood against what a program said
    FAILED = "FAILED"  # unchanged, because no program could be had or read

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class CallResult:
    """The result of one call.

    Attributes:
        chunk: index of its chunk program.
        call: index in that program.
        name: as written.
        op: what it says; None where malformed.
        status: what became of it.
        code: why, where the status does not say it all.
        count: lines removed, occurrences replaced, lines added.
    """

    chunk: int
    call: int
    name: str
    op: Op | None
    status: CallStatus
    code: Code | None
    count: int


Span = tuple[int, int, str, str, int, int, int]
"""One edit before it is a record: start, stop, inserted, kind, line (-1: to be found), chunk, call."""


class ChunkTrace(NamedTuple):
    """The executor's notes on one chunk program.

    Attributes:
        results: status, code and count of each call.
        errors: counted errors of executing, beside those of reading: code and call.
        verdict: why the whole program failed or was refused; None where it ran.
        failed: whether there was no program to run.
    """

    chunk: int
    parsed: ParsedProgram
    results: Sequence[tuple[CallStatus, Code | None, int]]
    errors: Sequence[tuple[Code, int]]
    verdict: Code | None
    failed: bool


class Record(NamedTuple):
    """The record of how a refined text was made."""

    spans: Sequence[Span]
    traces: Sequence[ChunkTrace]


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """One refined document.

    Attributes:
        text: the refined text; None when dropped; the original when kept, refused or failed.
        outcome: what became of the document.
        reason: why.
        original: the text before.
        record: what happened, or what finds out when it is asked for.
    """

    text: str | None = field(repr=False)  # a message or a log must not hold it
    outcome: Outcome
    reason: Code
    original: str = field(repr=False)
    record: Record | Callable[[], Record] = field(repr=False, compare=False)

    @cached_property
    def _record(self) -> Record:
        return self.record if isinstance(self.record, Record) else self.record()

    @property
    def traces(self) -> Sequence[ChunkTrace]:
        """The executor's notes on each chunk program."""
        return self._record.traces

    @property
    def chunks(self) -> int:
        """Chunk programs of the document."""
        return len(self.traces)

    @property
    def failed_chunks(self) -> int:
        """Chunks that had no program, or none that could be read."""
        return sum(trace.failed for trace in self.traces)

    @property
    def refused_chunks(self) -> int:
        """Chunks whose whole program the policy refused."""
        return sum(trace.verdict is not None and not trace.failed for trace in self.traces)

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """Ascending, disjoint changes; none unless EDITED."""
        spans, original = self._record.spans, self.original
        index = LineIndex(original) if any(span[4] < 0 for span in spans) else None
        return tuple(
            Edit(
                kind,
                line if index is None or line >= 0 else index.line_at(start),
                start,
                stop,
                original[start:stop],
                inserted,
                chunk,
                call,
            )
            for start, stop, inserted, kind, line, chunk, call in spans
        )

    @cached_property
    def calls(self) -> tuple[CallResult, ...]:
        """Every call of every chunk program."""
        return tuple(
            CallResult(
                chunk=trace.chunk, call=number, name=call.name, op=call.op, status=status, code=code, count=count
            )
            for trace in self.traces
            for number, (call, (status, code, count)) in enumerate(zip(trace.parsed.calls, trace.results, strict=True))
        )

    @cached_property
    def errors(self) -> tuple[ProgramError, ...]:
        """The errors of the programs, by reading and by executing, in order of chunk and position."""
        found: list[ProgramError] = []
        for trace in self.traces:
            errors = [replace(error, chunk=trace.chunk) for error in trace.parsed.errors]
            errors += trace.parsed.errors_at_calls(trace.chunk, trace.errors)
            errors.sort(key=lambda error: error.start)
            found += errors
        return tuple(found)

    @property
    def call_count(self) -> int:
        """Calls in all chunk programs, malformed ones included."""
        return sum(len(trace.parsed.calls) for trace in self.traces)

    @property
    def error_count(self) -> int:
        """Errors that count against `Policy.max_errors`, over all chunk programs."""
        return sum(len(trace.errors) + sum(error.counted for error in trace.parsed.errors) for trace in self.traces)

    @property
    def lines_before(self) -> int:
        """Lines of the original; an empty text has one."""
        return self.original.count("\n") + 1

    @property
    def lines_after(self) -> int:
        """Lines of the refined text; 0 when dropped."""
        return 0 if self.text is None else self.text.count("\n") + 1

    @cached_property
    def words_before(self) -> int:
        """Words of the original, separated by white space."""
        return count_words(self.original)

    @property
    def words_after(self) -> int:
        """Words of the refined text; 0 when dropped."""
        if self.text is None:
            return 0
        if self.text is self.original:
            return self.words_before
        spans = self._record.spans
        if all(span[3] == "remove_lines" for span in spans):  # whole lines: their words and no others are gone
            return self.words_before - sum(count_words(self.original[span[0] : span[1]]) for span in spans)
        return count_words(self.text)

    @property
    def chars_before(self) -> int:
        """Code points of the original."""
        return len(self.original)

    @property
    def chars_after(self) -> int:
        """Code points of the refined text; 0 when dropped."""
        return 0 if self.text is None else len(self.text)


def express_refinement(
    refined: str | None, outcome: Outcome, reason: Code, original: str, record: Callable[[], Record]
) -> Refinement:
    """A `Refinement`, made without the frozen class's setter, which takes three times as long."""
    made = object.__new__(Refinement)
    fields = made.__dict__
    fields["text"] = refined
    fields["outcome"] = outcome
    fields["reason"] = reason
    fields["original"] = original
    fields["record"] = record
    return made
