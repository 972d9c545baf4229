"""The way in: programs and a document go in, a `Refinement` comes out. Never raises for any text or program.

Ties reading, planning and executing together, for the two levels and for both ways of reading programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

from spark_prox.errors import ConfigError
from spark_prox.programs.dialects import DIALECTS, dialect_for
from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.execute import execute_plans
from spark_prox.programs.express import PlainReader, express_text, plain_reader
from spark_prox.programs.parse import parse_program
from spark_prox.programs.plan import ChunkPlan, plan_chunk
from spark_prox.programs.policy import Policy, policy_for
from spark_prox.programs.refinement import ChunkTrace, Outcome, Record, Refinement, express_refinement
from spark_prox.programs.upstream import QUICK_UPSTREAM, count_upstream_errors, plan_upstream
from spark_prox.programs.verdict import decide_document

__all__ = ["ChunkProgram", "refine_document", "refine_text"]

_PLAIN: dict[str, PlainReader] = {name: plain_reader(words.quick) for name, words in DIALECTS.items() if words.quick}
_PLAIN_UPSTREAM = plain_reader(QUICK_UPSTREAM)


class ChunkProgram(NamedTuple):
    """One stored model output for consecutive lines of a document.

    Attributes:
        program: what the model wrote; its line numbers are the document's.
        first_line: first line the model saw, 0-based.
        line_count: how many it saw.
        failed: nothing was generated for these lines; they stay as they are.
    """

    program: str
    first_line: int
    line_count: int
    failed: bool = False


def refine_text(
    text: str,
    program_text: str,
    *,
    stage: Literal["chunk", "doc"] = "chunk",
    dialect: str = "prox",
    policy: str | Policy = "default",
) -> Refinement:
    """Execute one program on a text.

    Args:
        text: the document.
        program_text: what a model wrote: for the whole text, or the outputs for all its chunks, joined by newlines as
            upstream stores them.
        stage: "chunk" edits; "doc" keeps or drops.
        dialect: how the program is spelt.
        policy: a name in `POLICIES` or a policy.

    Raises:
        ConfigError: an unknown dialect, policy or stage.
    """
    rules = policy_for(policy)
    if stage == "doc":
        return _refine_by_verdict(text, program_text, dialect, rules)
    if stage != "chunk":
        raise _unknown_stage(stage)
    spelling = dialect_for(dialect).name
    read = _PLAIN_UPSTREAM if rules.reader == "upstream" else _PLAIN.get(spelling)
    if read is not None and text and not text.isspace():
        result = express_text(text, program_text, read, rules)
        if result is not None:
            return express_refinement(*result, text, partial(_record, text, program_text, dialect, rules))
    return _refine_with_records(text, program_text, dialect, rules)


def _record(text: str, program_text: str, dialect: str, rules: Policy) -> Record:
    record = _refine_with_records(text, program_text, dialect, rules).record
    assert isinstance(record, Record)
    return record


def _refine_with_records(text: str, program_text: str, dialect: str, rules: Policy) -> Refinement:
    whole = ChunkPlan(0, 0, text.count("\n") + 1)
    if rules.reader == "upstream":
        return _refine_upstream(text, [plan_upstream(whole, program_text.strip(" "))], whole.stop, rules)
    whole.parsed = parse_program(program_text, dialect)
    if not text or text.isspace():
        return _empty(text, [whole])
    return execute_plans(text, [plan_chunk(whole, dialect_for(dialect), rules)], rules)


def refine_document(
    text: str,
    chunk_programs: Sequence[ChunkProgram],
    *,
    dialect: str = "prox",
    policy: str | Policy = "default",
    line_margins: Mapping[int, float] | None = None,
) -> Refinement:
    """Execute the programs of all chunks of a document at once.

    Args:
        text: the whole document.
        chunk_programs: in any order; each may act only on its own lines, unless the policy says otherwise.
        dialect: how the programs are spelt.
        policy: a name in `POLICIES` or a policy.
        line_margins: log p(keep) - log p(remove) by document line, for `Policy.min_remove_margin`.

    Raises:
        ConfigError: an unknown dialect or policy.
    """
    rules = policy_for(policy)
    line_count = text.count("\n") + 1
    words = dialect_for(dialect)
    if rules.reader == "upstream":
        plans = []
        for number, chunk in enumerate(chunk_programs):
            program = "" if chunk.failed else chunk.program.strip(" ")
            plan = plan_upstream(ChunkPlan(number, 0, line_count), program)
            plan.failed = chunk.failed
            plans.append(plan)
        return _refine_upstream(text, plans, line_count, rules)
    blank = not text or text.isspace()
    plans = []
    for number, chunk in enumerate(chunk_programs):
        first = min(max(chunk.first_line, 0), line_count)
        stop = min(max(chunk.first_line + chunk.line_count, first), line_count)
        plan = ChunkPlan(number, first, stop)
        plans.append(plan)
        if chunk.failed or first == stop:
            plan.fail(Code.NO_PROGRAM if chunk.failed else Code.OUT_OF_RANGE)
        else:
            plan.parsed = parse_program(chunk.program, dialect)
            if not blank:
                plan_chunk(plan, words, rules)
    return _empty(text, plans) if blank else execute_plans(text, plans, rules, line_margins)


def _refine_upstream(text: str, plans: list[ChunkPlan], line_count: int, rules: Policy) -> Refinement:
    if not text or text.isspace():  # upstream divides by zero here and loses the batch
        return _empty(text, plans, Outcome.FAILED)
    errors = count_upstream_errors(plans, line_count)
    too_many = rules.max_errors is not None and errors > rules.max_errors
    return execute_plans(text, plans, rules, too_many_errors=too_many)


def _unknown_stage(stage: str) -> ConfigError:
    return ConfigError("STAGE_UNKNOWN", f"There is no stage {stage!r:.80}.", "Valid: chunk, doc.")


def _empty(text: str, plans: Sequence[ChunkPlan], outcome: Outcome = Outcome.KEPT) -> Refinement:
    """A document without a word: nothing runs on it."""
    for plan in plans:
        plan.results = [
            (CallStatus.REFUSED, Code.EMPTY_TEXT, 0) if call.op is not None else (CallStatus.MALFORMED, call.code, 0)
            for call in plan.parsed.calls
        ]
    record = Record((), [plan.trace() for plan in plans])
    return Refinement(text=text, outcome=outcome, reason=Code.EMPTY_TEXT, original=text, record=record)


def _refine_by_verdict(text: str, program: str, dialect: str, rules: Policy) -> Refinement:
    verdict, reason = decide_document(program, dialect=dialect, policy=rules)
    outcome = Outcome.DROPPED
    if verdict == "keep":
        outcome = {Code.KEEP_CALL: Outcome.KEPT, Code.UNSURE: Outcome.REFUSED, Code.CONFLICT: Outcome.REFUSED}.get(
            reason, Outcome.FAILED
        )
    parsed = parse_program(program, dialect)
    results = [
        (CallStatus.MALFORMED, call.code, 0) if call.op is None else (CallStatus.APPLIED, None, 0)
        for call in parsed.calls
    ]
    failed = outcome is Outcome.FAILED
    trace = ChunkTrace(0, parsed, results, (), None if outcome in (Outcome.KEPT, Outcome.DROPPED) else reason, failed)
    return Refinement(
        text=None if verdict == "drop" else text,
        outcome=outcome,
        reason=reason,
        original=text,
        record=Record((), [trace]),
    )
