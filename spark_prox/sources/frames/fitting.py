"""Makes the user's columns fit a table that is there, or one that later files of other widths will fit.

Integers of a new table are bigint and floats double; rows for a table that is there get its wider types. What does not
fit is left as it is, for the table to refuse. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql.types import DataType, NullType, StructField, StructType

from spark_prox.sources.merged_types import is_wider, widest

__all__ = ["fit_fields"]


def fit_fields(fields: Sequence[StructField], table: Sequence[StructField] | None) -> list[StructField | None]:
    """What each of the user's columns is stored as; None for a column of nulls that the table does not have.

    Args:
        fields: the columns that come, with the names that tables give them.
        table: the user's columns of the table, None if it is not there yet.
    """
    known = {field.name: field.dataType for field in table or ()}
    fitted: list[StructField | None] = []
    for field in fields:
        target = _target(field.dataType, known.get(field.name), is_new=table is None)
        fitted.append(None if target is None else StructField(field.name, target, True))
    return fitted


def _target(incoming: DataType, known: DataType | None, *, is_new: bool) -> DataType | None:
    """The type to cast to; None for a column of nulls that the table does not have."""
    if isinstance(incoming, NullType):
        return known or (_type("string") if is_new else None)
    if is_new:
        return _type(widest(_plain(incoming)))
    return known if known is not None and is_wider(_plain(known), _plain(incoming)) else incoming


def _plain(kind: DataType) -> Any:
    """The type as in Spark's JSON of schemas, every field nullable."""
    plain = kind.jsonValue()
    return _nullable(plain)


def _nullable(plain: Any) -> Any:
    if isinstance(plain, str):
        return plain
    made = dict(plain)
    for name in ("elementType", "keyType", "valueType"):
        if name in made:
            made[name] = _nullable(made[name])
    for name in ("containsNull", "valueContainsNull"):
        if name in made:
            made[name] = True
    if made["type"] == "struct":
        inner = [(field["name"], _nullable(field["type"])) for field in made["fields"]]
        made["fields"] = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in inner]
    return made


def _type(plain: Any) -> DataType:
    field = {"name": "x", "type": plain, "nullable": True, "metadata": {}}
    return StructType.fromJson({"type": "struct", "fields": [field]}).fields[0].dataType
