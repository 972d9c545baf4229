"""The plan of one chunk program: its calls, checked against its chunk's lines and against the policy.

Turns calls into removals, replacements and insertions without looking at the text: only the number of lines matters.
"""

from __future__ import annotations

from collections.abc import Sequence

from spark_prox.programs.dialects import Dialect
from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.lines import Removal
from spark_prox.programs.ops import (
    AddLine,
    DropAll,
    KeepAll,
    Op,
    RemoveAll,
    RemoveLines,
    ReplaceInLine,
    ReplaceText,
    Rewrite,
)
from spark_prox.programs.parse import ParsedProgram
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import ChunkTrace

__all__ = ["ChunkPlan", "ends_in_a_loop", "plan_chunk"]

_EMPTY = ParsedProgram("", (), (), True)
_APPLIED = CallStatus.APPLIED
_LOOP_CALLS = 4


class ChunkPlan:
    """The working state of one chunk program.

    Attributes:
        first: first document line of the chunk.
        stop: one past its last.
        results: status, code and count of each call, so far.
        errors: counted errors, each with its call.
        verdict: why the whole program does not run.
        failed: whether that is for want of a program.
        drops: the call that drops the whole chunk, -1 for none.
        rewrite: the call that puts new text in the chunk's place.
    """

    __slots__ = (
        "additions", "drops", "errors", "failed", "first", "index", "line_edits", "parsed", "removals",
        "replacements", "results", "rewrite", "stop", "verdict",
    )  # fmt: skip

    def __init__(self, index: int, first: int, stop: int, parsed: ParsedProgram = _EMPTY) -> None:
        self.index = index
        self.first = first
        self.stop = stop
        self.parsed = parsed
        self.results: list[tuple[CallStatus, Code | None, int]] = []
        self.errors: list[tuple[Code, int]] = []
        self.removals: list[Removal] = []
        self.replacements: list[tuple[int, ReplaceText]] = []
        self.line_edits: list[tuple[int, ReplaceInLine]] = []
        self.additions: list[tuple[int, AddLine]] = []
        self.rewrite: tuple[int, Rewrite] | None = None
        self.verdict: Code | None = None
        self.failed = False
        self.drops = -1

    @property
    def edits_something(self) -> bool:
        """True if there is anything to execute."""
        return bool(self.removals or self.replacements or self.line_edits or self.additions or self.rewrite)

    def set_result(self, call: int, status: CallStatus, code: Code | None = None, count: int = 0) -> None:
        """Note what became of a call."""
        self.results[call] = (status, code, count)

    def error(self, call: int, status: CallStatus, code: Code) -> None:
        """Note that a call is in error, in a way that counts."""
        self.results[call] = (status, code, 0)
        self.errors.append((code, call))

    def refuse(self, code: Code) -> None:
        """Refuse the whole program: every call that could have run is refused, and nothing is left to execute."""
        self.verdict = code
        self.removals, self.replacements, self.line_edits, self.additions = [], [], [], []
        self.drops, self.rewrite = -1, None
        self.results = [
            result if result[0] is CallStatus.MALFORMED else (CallStatus.REFUSED, code, 0) for result in self.results
        ]

    def fail(self, code: Code) -> None:
        """There is no program to run."""
        self.verdict, self.failed = code, True

    def trace(self) -> ChunkTrace:
        """The part of the plan that is kept."""
        return ChunkTrace(self.index, self.parsed, self.results, self.errors, self.verdict, self.failed)


def plan_chunk(plan: ChunkPlan, dialect: Dialect, rules: Policy) -> ChunkPlan:
    """Fill in a plan whose program has been read."""
    parsed = plan.parsed
    calls = parsed.calls
    plan.results = [(_APPLIED, None, 0)] * len(calls)
    readable = 0
    for number, call in enumerate(calls):
        op = call.op
        if op is None:
            plan.results[number] = (CallStatus.MALFORMED, call.code, 0)
            continue
        readable += 1
        if type(op) is RemoveLines:
            _plan_removal(plan, number, op.first, op.last)
        elif type(op) is ReplaceText:
            plan.replacements.append((number, op))
        elif type(op) is not KeepAll:
            _plan_rarer(plan, number, op, dialect.calls[call.name].stage != "doc")
    if not readable:
        plan.fail(_why_unreadable(parsed))
        return plan
    if plan.drops >= 0 and plan.edits_something:
        plan.set_result(plan.drops, CallStatus.REFUSED, Code.CONFLICT)
        plan.drops = -1
    why = _why_refused(plan, rules)
    if why is not None:
        plan.refuse(why)
    elif plan.drops >= 0:
        plan.removals.append(Removal(plan.first, plan.stop - 1, plan.index, plan.drops))
    return plan


def _plan_removal(plan: ChunkPlan, number: int, first: int, last: int) -> None:
    begin, end = plan.first, plan.stop - 1
    if first > last:
        plan.set_result(number, CallStatus.NO_MATCH, Code.EMPTY_RANGE)
        return
    if last < begin or first > end:
        plan.error(number, CallStatus.OUT_OF_RANGE, Code.OUT_OF_RANGE)
        return
    if first < begin or last > end:
        plan.error(number, _APPLIED, Code.CLAMPED)
        first, last = max(first, begin), min(last, end)
    plan.removals.append(Removal(first, last, plan.index, number))


def _plan_rarer(plan: ChunkPlan, number: int, op: Op, in_chunk: bool) -> None:
    if isinstance(op, DropAll):
        if in_chunk:
            plan.drops = number
        else:
            plan.error(number, CallStatus.REFUSED, Code.WRONG_STAGE)
    elif isinstance(op, Rewrite):
        plan.rewrite = (number, op)
    elif isinstance(op, RemoveAll):
        plan.removals.append(Removal(plan.first, plan.stop - 1, plan.index, number))
    elif isinstance(op, ReplaceInLine):
        if plan.first <= op.line < plan.stop:
            plan.line_edits.append((number, op))
        else:
            plan.error(number, CallStatus.OUT_OF_RANGE, Code.OUT_OF_RANGE)
    elif isinstance(op, AddLine):
        if plan.first <= op.after < plan.stop or (op.after == -1 and plan.first == 0):
            plan.additions.append((number, op))
        else:
            plan.error(number, CallStatus.OUT_OF_RANGE, Code.OUT_OF_RANGE)


def _why_unreadable(parsed: ParsedProgram) -> Code:
    if parsed.blank:
        return Code.EMPTY_PROGRAM
    if parsed.calls and parsed.calls[-1].code is Code.TRUNCATED:
        return Code.TRUNCATED
    return Code.NO_CALL


def _why_refused(plan: ChunkPlan, rules: Policy) -> Code | None:
    calls = plan.parsed.calls
    if rules.max_calls is not None and len(calls) > rules.max_calls:
        return Code.TOO_MANY_CALLS
    if rules.max_errors is not None and (plan.errors or plan.parsed.errors):
        errors = len(plan.errors) + sum(error.counted for error in plan.parsed.errors)
        if errors > rules.max_errors:
            return Code.TOO_MANY_ERRORS
    if plan.rewrite is not None and not rules.allow_rewrite:
        return Code.REWRITE
    if rules.max_repeats is not None and len(calls) > rules.max_repeats:
        editing = [call.op for call in calls if call.op is not None and not isinstance(call.op, KeepAll)]
        if ends_in_a_loop(editing, rules.max_repeats):
            return Code.DEGENERATE
    return None


def ends_in_a_loop(editing: Sequence[object], max_repeats: int) -> bool:
    """True if the last editing calls are one to four calls, said over and over more than `max_repeats` times."""
    for period in range(1, _LOOP_CALLS + 1):
        size = period * (max_repeats + 1)
        if len(editing) < size:
            return False
        tail = editing[-size:]
        if tail[period:] == tail[:-period]:
            return True
    return False
