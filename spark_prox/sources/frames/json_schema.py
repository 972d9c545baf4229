"""The Spark schema of JSON lines, from their shape: types to parse with, and names that Spark can tell apart.

Two keys that differ only in case are one name to Spark: the rarer one gets a number, and what it was called is kept.
Runs on the driver; knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyspark.sql.types import ArrayType, DataType, NullType, StringType, StructField, StructType

from spark_prox.sources.json_shape import Shape

__all__ = ["JsonSchema", "json_schema"]

WORKING_PREFIX = "__prox"


@dataclass(frozen=True, kw_only=True)
class JsonSchema:
    """How lines are parsed and what their columns are called.

    Attributes:
        parsed: types under the keys as they are written.
        named: the same types in the same order, under distinct names.
        spellings: the key as written by name, with the fields of structs as `struct.field`.
        empty: names of columns that are null in all lines.
        has_more: some keys have no column.
        together: names in lower case of which one line has several spellings.
    """

    parsed: StructType
    named: StructType
    spellings: dict[str, str]
    empty: tuple[str, ...]
    has_more: bool
    together: frozenset[str]

    def with_text(self, names: tuple[str, ...]) -> JsonSchema:
        """The same, these columns (`name` or `struct.field`) read as they are written."""
        parsed, named = self.parsed, self.named
        for name in names:
            parsed = _with_text(parsed, self.spellings.get(name, name))
            named = _with_text(named, name)
        empty = tuple(name for name in self.empty if name not in names)
        return replace(self, parsed=parsed, named=named, empty=empty)


def json_schema(shape: Shape) -> JsonSchema:
    """The schema of lines of this shape."""
    plain = shape.spark_type()
    typed = StructType.fromJson(plain) if isinstance(plain, dict) else StructType([])
    named = _distinct_names(typed, shape)
    empty = [new.name for old, new in zip(typed.fields, named.fields, strict=True) if old.dataType == NullType()]
    spellings = dict(zip(_flat(named), _flat(typed), strict=True))
    return JsonSchema(
        parsed=_struct(typed),
        named=_struct(named),
        spellings=spellings,
        empty=tuple(empty),
        has_more=shape.has_more,
        together=frozenset(shape.together),
    )


def _distinct_names(schema: StructType, shape: Shape) -> StructType:
    """The same types in the same order, no two names of one struct equal in lower case, none empty, none of ours."""
    counted = shape.fields or {}
    order = sorted(range(len(schema.fields)), key=lambda at: (-counted[schema.fields[at].name][0], at))
    seen: set[str] = set()
    names: dict[int, str] = {}
    for at in order:
        base = schema.fields[at].name or "unnamed"
        base = f"input{base}" if base.lower().startswith(WORKING_PREFIX) else base
        name, number = base, 1
        while name.lower() in seen:
            number += 1
            name = f"{base}_{number}"
        seen.add(name.lower())
        names[at] = name
    fields = [
        StructField(names[at], _distinct(field.dataType, counted[field.name][1]), True)
        for at, field in enumerate(schema.fields)
    ]
    return StructType(fields)


def _distinct(kind: DataType, shape: Shape) -> DataType:
    if isinstance(kind, StructType):
        return _distinct_names(kind, shape)
    if isinstance(kind, ArrayType) and shape.element is not None:
        return ArrayType(_distinct(kind.elementType, shape.element), True)
    return kind


def _flat(schema: StructType) -> Iterator[str]:
    for field in schema.fields:
        yield field.name
        if isinstance(field.dataType, StructType):
            yield from (f"{field.name}.{inner.name}" for inner in field.dataType.fields)


def _parseable(kind: DataType) -> DataType:
    """The type with strings for what is null in all lines."""
    if isinstance(kind, NullType):
        return StringType()
    if isinstance(kind, ArrayType):
        return ArrayType(_parseable(kind.elementType), True)
    return _struct(kind) if isinstance(kind, StructType) else kind


def _struct(kind: StructType) -> StructType:
    return StructType([StructField(field.name, _parseable(field.dataType), True) for field in kind.fields])


def _with_text(schema: StructType, name: str) -> StructType:
    fields = []
    for field in schema.fields:
        kind = field.dataType
        if field.name == name and not isinstance(kind, (StructType, ArrayType)):
            kind = StringType()
        elif isinstance(kind, StructType) and name.startswith(f"{field.name}."):
            kind = _with_text(kind, name[len(field.name) + 1 :])
        fields.append(StructField(field.name, kind, True))
    return StructType(fields)
