"""From a DataFrame to refined rows of it in one lazy plan; the user's columns never meet ours.

Columns are taken by position and carried as fields `c0`, `c1`, ... of one struct, so that no name in the plan is the
user's. Uses what classic sessions and Spark Connect both have. Knows the language only as the callable it is given.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol

from pyspark.resource import ResourceProfile
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    BinaryType,
    DataType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from spark_prox.errors import InputError
from spark_prox.functions import ArrowFunction

__all__ = ["RowFunction", "plain_type", "refined_frame"]

_OWN = "own"


class RowFunction(ArrowFunction, Protocol):
    """For `mapInArrow` over (id, text, own); gives its own columns and `own`, see `udfs.refine.RefineRows`."""

    @property
    def columns(self) -> str:
        """Spark DDL of its own columns."""
        ...


def refined_frame(
    df: DataFrame,
    function: RowFunction,
    *,
    text: str,
    id_column: str | None,
    profile: ResourceProfile | None = None,
) -> DataFrame:
    """The function's columns, then those of `df` with their names and types.

    A column of `df` whose name the function's columns have, in any case, is called `input_NAME`.

    Args:
        text, id_column: names of columns; dots reach into structs.

    Raises:
        InputError: MISSING_COLUMN, BAD_COLUMN.
    """
    fields = df.schema.fields
    by_place = df.toDF(*(f"p{number}" for number in range(len(fields))))
    text_value = _column(fields, text, (StringType,))
    id_value = F.lit(None) if id_column is None else _column(fields, id_column, (AtomicType,))
    plain = [StructField(f"c{number}", plain_type(field.dataType)) for number, field in enumerate(fields)]
    carried = F.struct(*(_as(F.col(f"p{number}"), plain[number], fields[number]) for number in range(len(fields))))
    inputs = by_place.select(
        id_value.cast("string").alias("id"), text_value.cast("string").alias("text"), carried.alias(_OWN)
    )
    declared = StructType.fromDDL(function.columns)
    assert isinstance(declared, StructType)
    rows = inputs.mapInArrow(
        function, StructType([*declared.fields, StructField(_OWN, StructType(plain))]), False, profile
    )
    names = _free_names([field.name for field in fields], declared.fieldNames())
    own = [
        _as(F.col(f"{_OWN}.c{number}"), StructField(name, _nullable(field.dataType)), plain[number])
        for number, (name, field) in enumerate(zip(names, fields, strict=True))
    ]
    return rows.select(*declared.fieldNames(), *own)


def _as(column: Column, wanted: StructField, found: StructField) -> Column:
    """A column under another name, and with the other names that fields inside it have."""
    return (column if wanted.dataType == found.dataType else column.cast(wanted.dataType)).alias(wanted.name)


def _column(fields: Sequence[StructField], name: str, kinds: tuple[type[DataType], ...]) -> Column:
    """A column by its name, in any case where no other is spelt so, or a field of a struct."""
    column, kind = _find(fields, name)
    if not isinstance(kind, kinds) or isinstance(kind, BinaryType):
        raise InputError(
            "BAD_COLUMN", f"column {name!r} is of type {kind.simpleString()[:80]}.", "Text must be a string."
        )
    return column


def _find(fields: Sequence[StructField], name: str) -> tuple[Column, DataType]:
    places = [number for number, field in enumerate(fields) if field.name == name]
    places = places or [number for number, field in enumerate(fields) if field.name.lower() == name.lower()]
    if len(places) > 1:
        raise InputError("BAD_COLUMN", f"{len(places)} columns are called {name!r}.", "Rename one of them.")
    if places:
        return F.col(f"p{places[0]}"), fields[places[0]].dataType
    outer, dot, inner = name.partition(".")
    if dot:
        for number, field in enumerate(fields):
            if field.name == outer and isinstance(field.dataType, StructType):
                for place, below in enumerate(field.dataType.fields):
                    if below.name == inner:
                        struct = F.col(f"p{number}").cast(plain_type(field.dataType))
                        return struct.getField(f"c{place}"), below.dataType
    listed = [field.name for field in fields]
    near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    raise InputError(
        "MISSING_COLUMN",
        f"the DataFrame has no column {name!r}; it has: {', '.join(listed[:30]) or 'none'}."
        + (f" Did you mean {near[0]!r}?" if near else ""),
        "Name the columns with text= and id=; id=None where documents have no id.",
    )


def _free_names(names: Sequence[str], ours: Sequence[str]) -> list[str]:
    """The same names, with `input_` before those that are ours; names that the user repeats stay repeated."""
    taken = {name.lower() for name in (*names, *ours)}
    free = []
    for name in names:
        other = name
        if name.lower() in ours:
            while other.lower() in taken:
                other = f"input_{other}"
            taken.add(other.lower())
        free.append(other)
    return free


def plain_type(kind: DataType) -> DataType:
    """The same type with plain names down to the last level."""
    if isinstance(kind, StructType):
        return StructType([StructField(f"c{n}", plain_type(field.dataType)) for n, field in enumerate(kind.fields)])
    if isinstance(kind, ArrayType):
        return ArrayType(plain_type(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(plain_type(kind.keyType), plain_type(kind.valueType), True)
    return kind


def _nullable(kind: DataType) -> DataType:
    """The same type where everything may be null: what came through Arrow cannot be promised to be there."""
    if isinstance(kind, StructType):
        return StructType([StructField(field.name, _nullable(field.dataType)) for field in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(_nullable(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(_nullable(kind.keyType), _nullable(kind.valueType), True)
    return kind
