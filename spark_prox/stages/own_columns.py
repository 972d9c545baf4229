"""The user's own columns, carried through a stage as one column, so that their names meet none of ours.

They may have any name: blanks, dots, backticks, names that differ in case only, names that a plan of ours uses. In a
plan they are fields `c0`, `c1`, ... of the struct `own`, with plain names down to the last level. Their own names come
back when a row is written into a table. Knows no stage.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_prox.config.names import quoted
from spark_prox.sources.frames.fitting import fitted_type
from spark_prox.spark.refined_frame import plain_type
from spark_prox.warehouse.schemas import DOCUMENTS, REFINED, REJECTS

__all__ = ["OwnColumns"]

PACKED = "own"
_OF_DELTA = ("_change_type", "_commit_version", "_commit_timestamp", "__is_cdc", "_metadata")


class OwnColumns:
    """Columns that a table has behind its core ones.

    Attributes:
        fields: with the names that the tables give them.
    """

    def __init__(self, fields: Sequence[StructField]) -> None:
        self.fields = list(fields)
        plain = [StructField(f"c{number}", plain_type(field.dataType)) for number, field in enumerate(fields)]
        self.packed_fields = [StructField(PACKED, StructType(plain))] if plain else []
        self._plain = plain

    @classmethod
    def pack_input(
        cls, rows: DataFrame, core: Collection[str], table: Sequence[StructField] | None
    ) -> tuple[DataFrame, OwnColumns]:
        """Rows with their core columns and the others packed; columns are taken by position, whatever their names.

        Args:
            table: the user's columns of the table, whose types they get where that loses nothing; None if it is not
                there yet.
        """
        found: dict[str, int] = {}
        for number, name in enumerate(rows.columns):
            if name in core:
                found.setdefault(name, number)
        others = [number for number in range(len(rows.columns)) if number not in found.values()]
        known = {field.name: field.dataType for field in table or ()}
        ours = {name.lower() for table in (DOCUMENTS, REFINED, REJECTS) for name in table.schema.fieldNames()}
        named_fields = _stored_fields([rows.schema.fields[number] for number in others], ours)
        kinds = [fitted_type(field.dataType, known.get(field.name), is_new=table is None) for field in named_fields]
        kept = [number for number, kind in zip(others, kinds, strict=True) if kind is not None]
        own = cls([StructField(f.name, kind, True) for f, kind in zip(named_fields, kinds, strict=True) if kind])
        by_place = rows.toDF(*(f"p{number}" for number in range(len(rows.columns))))
        named = [F.col(f"p{number}").alias(name) for name, number in found.items()]
        return by_place.select(*named, *own._struct([F.col(f"p{number}") for number in kept])), own

    def packed(self) -> list[Column]:
        """The one column that they are in a plan, from a table that has them; none where there are none."""
        return self._struct([F.col(quoted(field.name)) for field in self.fields])

    def carried(self) -> list[str]:
        """The name of that column."""
        return [field.name for field in self.packed_fields]

    def unpacked(self) -> list[Column]:
        """The columns that they are in a table, from a plan that carries them."""
        return [
            F.col(f"{PACKED}.c{number}").cast(field.dataType).alias(field.name)
            for number, field in enumerate(self.fields)
        ]

    def _struct(self, columns: Sequence[Column]) -> list[Column]:
        fields = [
            column.cast(field.dataType).alias(field.name) for column, field in zip(columns, self._plain, strict=True)
        ]
        return [F.struct(*fields).alias(PACKED)] if fields else []


def _stored_fields(fields: Sequence[StructField], ours: Collection[str]) -> list[StructField]:
    """The same with names that a table can have: none empty, none of ours or Delta's, no two alike but for case.

    A backtick becomes an apostrophe.
    """
    reserved = {*ours, *_OF_DELTA}
    given = {field.name.lower() for field in fields}
    taken: set[str] = set()
    stored = []
    for field in fields:
        # Delta's MERGE does not quote a backtick in the names of a table with a change feed.
        name = field.name.replace("`", "'") if field.name.strip() else "unnamed"
        if name.lower() in reserved:
            name = f"input_{name}"
            while name.lower() in given | reserved | taken:
                name = f"input_{name}"
        base, number = name, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        stored.append(StructField(name, _distinct(field.dataType), True))
    return stored


def _distinct(kind: DataType) -> DataType:
    """The same type; fields of a struct that are alike but for case, or have no name, are numbered."""
    if isinstance(kind, ArrayType):
        return ArrayType(_distinct(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(_distinct(kind.keyType), _distinct(kind.valueType), True)
    if not isinstance(kind, StructType):
        return kind
    taken: set[str] = set()
    fields = []
    for field in kind.fields:
        base = name = field.name if field.name.strip() else "unnamed"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        fields.append(StructField(name, _distinct(field.dataType), True))
    return StructType(fields)
