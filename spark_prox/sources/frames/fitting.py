"""Types that make the user's columns fit a table that is there, or one that later files of other widths will fit.

Integers of a new table are bigint and floats double; rows for a table that is there get its wider types. What does not
fit is left as it is, for the table to refuse. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import DataType, NullType, StructType

from spark_prox.sources.merged_types import is_wider, widest

__all__ = ["fitted_type"]


def fitted_type(incoming: DataType, known: DataType | None, *, is_new: bool) -> DataType | None:
    """The type of a column in the table; None for a column of nulls that the table does not have.

    Args:
        known: the column's type in a table that has it.
        is_new: the table is not there yet.
    """
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
