"""A program as rows: every call and every error, what became of it and why. For people and for SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spark_prox.programs.policy import Policy
from spark_prox.programs.refine import refine_text

__all__ = ["Explanation", "explain_program"]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One row: a call, or stray text that is no call.

    Attributes:
        call: index of the call; None for stray text.
        line: line of the program, 0-based.
        name: the call's name as written; empty for stray text.
        source: the program's own characters.
        status: what became of the call; None for stray text.
        code: why, where there is more to say.
        count: lines removed, occurrences replaced, lines added.
        outcome: what became of the document, the same in every row.
    """

    call: int | None
    line: int
    name: str
    source: str
    status: str | None
    code: str | None
    count: int
    outcome: str


def explain_program(
    text: str,
    program_text: str,
    *,
    stage: Literal["chunk", "doc"] = "chunk",
    dialect: str = "prox",
    policy: str | Policy = "default",
) -> list[Explanation]:
    """Execute a program and tell what each part of it did; arguments as for `refine_text`. Not for hot loops."""
    refinement = refine_text(text, program_text, stage=stage, dialect=dialect, policy=policy)
    parsed = refinement.traces[0].parsed
    placed: list[tuple[int, Explanation]] = []
    for number, (call, result) in enumerate(zip(parsed.calls, refinement.calls, strict=True)):
        row = Explanation(
            call=number,
            line=0,
            name=call.name,
            source=parsed.text[call.start : call.stop].strip(),
            status=result.status.value,
            code=result.code.value if result.code is not None else None,
            count=result.count,
            outcome=refinement.outcome.value,
        )
        placed.append((call.start, row))
    for error in parsed.errors:
        if error.call is None:
            stop = parsed.text.find("\n", error.start)
            row = Explanation(
                call=None,
                line=0,
                name="",
                source=parsed.text[error.start : stop if stop >= 0 else None],
                status=None,
                code=error.code.value,
                count=0,
                outcome=refinement.outcome.value,
            )
            placed.append((error.start, row))
    return _with_lines(parsed.text, placed)


def _with_lines(program: str, placed: list[tuple[int, Explanation]]) -> list[Explanation]:
    rows: list[Explanation] = []
    line = counted_to = 0
    for start, row in sorted(placed, key=lambda item: item[0]):
        line += program.count("\n", counted_to, start)
        counted_to = max(counted_to, start)
        rows.append(replace(row, line=line))
    return rows
