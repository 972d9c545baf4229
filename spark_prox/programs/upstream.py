"""Read chunk programs as the released ProX executor does, defects included: the front half of policy `compat`.

Facts from GAIR-NLP/ProX (utils/chunk_utils.py), each of them deliberate here:

- One call per line of the program, recognised by how the line begins; nothing is stripped from its left.
- Arguments lie between the first "(" and the first ")" of the line; without a ")", up to the last character but one.
- They are split on ",", and each on "=", of which the second part is the value; only double quotes are stripped.
- Line numbers go through `int`, which takes signs, underscores, surrounding blanks and non-ASCII digits.
- `normalize` with three or more parts does nothing; with one part it removes even " ", with two it skips "" and " ".
- A line that begins with remove_lines and has "all=True" anywhere removes everything.
- Ranges are merged before they are held against the number of lines, so several errors may count as one.

Knows nothing of the grammar in docs/programs.md and decides nothing.
"""

from __future__ import annotations

import re

from spark_prox.programs.errors import CallStatus, Code
from spark_prox.programs.lines import Removal
from spark_prox.programs.ops import KeepAll, Op, RemoveAll, RemoveLines, ReplaceText
from spark_prox.programs.parse import ParsedProgram
from spark_prox.programs.plan import ChunkPlan
from spark_prox.programs.reading import Call

__all__ = ["QUICK_UPSTREAM", "count_upstream_errors", "plan_upstream"]

QUICK_UPSTREAM = re.compile(
    r"""(remove_lines\((?:line_)?start=(0|[1-9][0-9]{0,8}),[ ]?(?:line_)?end=(0|[1-9][0-9]{0,8})\)(?:\n|\Z)
    |normalize\(source_str="([^",=)\n]*)"(?:,[ ]?target_str="([^",=)\n]*)")?\)(?:\n|\Z)
    |(keep_chunk|untouch_doc|skip_chunk)\(\)(?:\n|\Z))""",
    re.VERBOSE,
)
"""Lines that upstream reads as they are meant, for `spark_prox.programs.express`."""

_MAX_DIGITS = 4300
"""Where `int` of Python 3.11 refuses; older versions would take quadratic time."""


def plan_upstream(plan: ChunkPlan, program: str) -> ChunkPlan:
    """Fill in a plan for the whole document from one chunk's output."""
    calls: list[Call] = []
    position = 0
    for line in program.split("\n"):
        if line.startswith(("remove_lines", "normalize")):
            _plan_line(plan, calls, line, position)
        elif line.startswith(("untouch_doc", "keep_chunk", "skip_chunk")):
            calls.append(Call(line.partition("(")[0], KeepAll(), position, position + len(line)))
            plan.results.append((CallStatus.APPLIED, None, 0))
        position += len(line) + 1
    plan.parsed = ParsedProgram(program, tuple(calls), (), not program.strip())
    return plan


def _plan_line(plan: ChunkPlan, calls: list[Call], line: str, position: int) -> None:
    name = "normalize" if line.startswith("normalize") else "remove_lines"
    number = len(calls)
    op: Op | None = None
    code: Code | None = None
    plan.results.append((CallStatus.APPLIED, None, 0))
    if name == "remove_lines" and "all=True" in line:
        op = RemoveAll()
        plan.removals.append(Removal(plan.first, plan.stop - 1, plan.index, number))
    else:
        begin, end = line.find("(") + 1, line.find(")")
        if not begin:
            code = Code.NO_PARENTHESES
            plan.errors.append((code, number))
        else:
            if end < 0:
                plan.errors.append((Code.TRUNCATED, number))
            parts = line[begin:end].split(",")
            op = _range(parts) if name == "remove_lines" else _replacement(parts)
            if op is None and not (name == "normalize" and len(parts) > 2):
                code = Code.UNREADABLE_ARGUMENTS
                plan.errors.append((code, number))
        if isinstance(op, RemoveLines):
            _plan_range(plan, number, op)
        elif isinstance(op, ReplaceText):
            if op.source and not (op.source == " " and len(parts) == 2):
                plan.replacements.append((number, op))
            else:
                plan.results[number] = (CallStatus.NO_MATCH, Code.EMPTY_SOURCE, 0)
        else:
            plan.results[number] = (CallStatus.MALFORMED, code or Code.TOO_MANY_ARGUMENTS, 0)
    calls.append(Call(name, op, position, position + len(line), code))


def _plan_range(plan: ChunkPlan, number: int, op: RemoveLines) -> None:
    first, last = max(op.first, 0), min(op.last, plan.stop - 1)
    if first <= last:
        plan.removals.append(Removal(first, last, plan.index, number))
    elif op.first > op.last:
        plan.results[number] = (CallStatus.NO_MATCH, Code.EMPTY_RANGE, 0)
    else:
        plan.results[number] = (CallStatus.OUT_OF_RANGE, Code.OUT_OF_RANGE, 0)


def _range(parts: list[str]) -> RemoveLines | None:
    if len(parts) < 2:
        return None
    numbers = []
    for part in parts[:2]:
        pieces = part.split("=")
        if len(pieces) < 2:
            return None
        number = _integer(pieces[1])
        if number is None:
            return None
        numbers.append(number)
    return RemoveLines(*numbers)


def _integer(text: str) -> int | None:
    if len(text) > _MAX_DIGITS and sum(map(str.isdigit, text)) > _MAX_DIGITS:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def _replacement(parts: list[str]) -> ReplaceText | None:
    if len(parts) > 2:
        return None
    strings: list[str] = []
    for part in parts:
        pieces = part.split("=")
        if len(pieces) < 2:
            return None
        strings.append(pieces[1].strip('"'))
    return ReplaceText(strings[0], strings[1] if len(strings) > 1 else "")


def count_upstream_errors(plans: list[ChunkPlan], line_count: int) -> int:
    """All errors of a document: those of reading, and merged ranges that begin or end beyond the last line.

    The latter are noted at the first call of each merged range.
    """
    ranges = sorted(
        (
            (call.op.first, call.op.last, plan, number)
            for plan in plans
            for number, call in enumerate(plan.parsed.calls)
            if isinstance(call.op, RemoveLines)
        ),
        key=lambda item: item[0],
    )
    merged: list[tuple[int, int, ChunkPlan, int]] = []
    for first, last, plan, number in ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last), *merged[-1][2:])
        else:
            merged.append((first, last, plan, number))
    for first, last, plan, number in merged:
        if first >= line_count or last >= line_count:
            plan.errors.append((Code.OUT_OF_RANGE if first >= line_count else Code.CLAMPED, number))
    return sum(len(plan.errors) for plan in plans)
