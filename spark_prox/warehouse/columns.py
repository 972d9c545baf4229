"""Columns that a table has against columns that it should have, and names that Parquet refuses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_prox.errors import TableError

__all__ = ["check_columns", "needs_mapping"]


def check_columns(where: str, found: Sequence[StructField], wanted: Sequence[StructField]) -> None:
    """Find every wanted column, of the wanted type.

    Args:
        where: the table, for the message.

    Raises:
        TableError: TABLE_SCHEMA, naming the first column that is missing or has another type.
    """
    types = {field.name: field.dataType.simpleString() for field in found}
    for field in wanted:
        expected = field.dataType.simpleString()
        if types.get(field.name) != expected:
            state = f"is {types[field.name][:80]}" if field.name in types else "is missing"
            raise TableError(
                "TABLE_SCHEMA",
                f"The table {where!r} has another schema: column {field.name!r} {state}, expected {expected[:80]}.",
                "Use another --warehouse, or bring the input to the table's columns.",
            )


def needs_mapping(field: StructField) -> bool:
    """True if a column, or a field inside it, has a name that Parquet refuses."""
    if not re.fullmatch(r"[A-Za-z0-9_]+", field.name):  # more than Parquet refuses: dots and quotes mislead readers
        return True
    inner: list[DataType] = [field.dataType]
    while inner:
        kind = inner.pop()
        if isinstance(kind, StructType):
            if any(needs_mapping(below) for below in kind.fields):
                return True
        elif isinstance(kind, ArrayType):
            inner.append(kind.elementType)
        elif isinstance(kind, MapType):
            inner += [kind.keyType, kind.valueType]
    return False
