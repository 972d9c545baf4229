"""The program language for SQL: what `spark_prox.spark.sql.register_functions` registers.

Plain functions of plain values, importable on executors. A bad program is a result, never an error; an unknown policy
or dialect is the query's mistake and fails it with its code.
"""

from __future__ import annotations

from collections.abc import Iterator

from spark_prox.programs import explain_program, refine_text

__all__ = ["EXPLAIN_COLUMNS", "ExplainProgram", "refine_column"]

EXPLAIN_COLUMNS = (
    "call int, line int, name string, source string, status string, code string, count int, outcome string"
)
"""Schema of the rows of `ExplainProgram`; see `spark_prox.programs.Explanation`."""


def refine_column(text: str | None, program: str | None, policy: str = "default", dialect: str = "prox") -> str | None:
    """The refined text; null for a null text or a dropped document, the text itself for a null program."""
    if text is None or program is None:
        return text
    return refine_text(text, program, policy=policy, dialect=dialect).text


class ExplainProgram:
    """A table function: one row for each call of a program, and for each piece of text in it that is no call."""

    def eval(
        self, text: str | None, program: str | None, policy: str = "default", dialect: str = "prox"
    ) -> Iterator[tuple[int | None, int, str, str, str | None, str | None, int, str]]:
        """Rows as in `EXPLAIN_COLUMNS`; none for a null text or program."""
        if text is None or program is None:
            return
        for row in explain_program(text, program, policy=policy, dialect=dialect):
            yield row.call, row.line, row.name, row.source, row.status, row.code, row.count, row.outcome
