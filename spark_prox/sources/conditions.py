"""Conditions on single columns with the three values of SQL: what a query says of rows, before they are made.

They travel to executors as data. Knows no Spark; strings compare by code points, as Spark's binary collation does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Condition", "Value", "holds"]

Value = str | int | None
_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "starts": str.startswith,
    "ends": str.endswith,
    "contains": str.__contains__,
}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition.

    Attributes:
        column: the column it is on.
        test: `=`, `<=>` (null equals null), `<`, `<=`, `>`, `>=`, `in`, `is null`, `starts`, `ends`, `contains`.
        values: one value, those of `in`, none for `is null`.
        negated: SQL's NOT around it.
    """

    column: str
    test: str
    values: tuple[Value, ...] = ()
    negated: bool = False


def holds(condition: Condition, value: Value) -> bool:
    """Whether a condition is true for a value of its column; unknown is not true."""
    answer = _answer(condition, value)
    return answer is not None and answer is not condition.negated


def _answer(condition: Condition, value: Value) -> bool | None:
    """The answer without NOT: true, false, or None for unknown."""
    if condition.test == "is null":
        return value is None
    if condition.test == "<=>":
        return value == condition.values[0]
    if value is None:
        return None
    if condition.test == "in":
        return True if value in condition.values else None if None in condition.values else False
    other = condition.values[0]
    if other is None:
        return None
    return _COMPARED[condition.test](value, other)  # type: ignore[arg-type]
