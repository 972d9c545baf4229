"""Write programs: the inverse of parsing. Knows no document."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spark_prox.errors import ProxError
from spark_prox.programs.dialects import dialect_for
from spark_prox.programs.ops import Op, RemoveLines, ReplaceInLine
from spark_prox.programs.parse import parse_program
from spark_prox.programs.values import line_number

__all__ = ["format_program", "line_ranges", "mark_cut", "remove_lines_program", "shift_lines"]

_NUMBER = re.compile("[0-9]+")


def format_program(ops: Iterable[Op], dialect: str = "prox") -> str:
    """A program text that parses back to these operations; the dialect's keep call where there are none.

    Raises:
        ProxError: OP_NOT_IN_DIALECT for an operation that the dialect has no words for.
    """
    words = dialect_for(dialect)
    lines = []
    for op in ops:
        line = words.write(op)
        if line is None:
            raise ProxError("OP_NOT_IN_DIALECT", f"Dialect {dialect} has no call for {type(op).__name__}.")
        lines.append(line)
    if not lines:
        return words.keep
    return "\n".join(lines) if words.frame is None else words.frame(lines)


def mark_cut(program: str, dialect: str = "prox") -> str:
    """A program that the token limit cut off, as it is stored: with the dialect's mark for that, if it has one."""
    return program + dialect_for(dialect).cut_mark


def remove_lines_program(lines_to_remove: Iterable[int], dialect: str = "prox") -> str:
    """A program that removes document lines (0-based, any order): ascending merged ranges, or the keep call."""
    return format_program((RemoveLines(first, last) for first, last in line_ranges(lines_to_remove)), dialect)


def line_ranges(lines: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending maximal ranges (first, last), both inclusive."""
    ranges: list[tuple[int, int]] = []
    for line in sorted(set(lines)):
        if ranges and ranges[-1][1] + 1 == line:
            ranges[-1] = (ranges[-1][0], line)
        else:
            ranges.append((line, line))
    return ranges


def shift_lines(program: str, by: int, dialect: str = "prox") -> str:
    """A program with `by` added to the line numbers of its removals and edits of lines; the rest is left as written."""
    if not by:
        return program
    parts, position = [], 0
    for call in parse_program(program, dialect).calls:
        if isinstance(call.op, RemoveLines | ReplaceInLine):
            numbers = 1 if isinstance(call.op, ReplaceInLine) else 2
            parts.append(program[position : call.start])
            parts.append(_NUMBER.sub(lambda found: _sum(found[0], by), program[call.start : call.stop], count=numbers))
            position = call.stop
    return "".join([*parts, program[position:]])


def _sum(digits: str, by: int) -> str:
    return str(line_number(digits) + by)
