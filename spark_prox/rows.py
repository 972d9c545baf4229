"""Rows declared once, as a NamedTuple: Spark's schema and Arrow's types come from the annotations of its fields.

    class Row(NamedTuple):
        name: Word
        size: Annotated[Int64, Origin.RUN]

Knows neither Spark nor Arrow, only what they call a type.
"""

from __future__ import annotations

import typing
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Annotated

__all__ = ["Int32", "Int64", "Kind", "Origin", "Real", "RowField", "Text", "Time", "Word", "ddl_of", "fields_of"]


@dataclass(frozen=True)
class Kind:
    """A type: what Spark's DDL calls it, and what Arrow does."""

    ddl: str
    arrow: str


class Origin(Enum):
    """The origin of a column's value."""

    EXECUTED = "executed"  # what the executor makes of a document
    INPUT = "input"  # a column that is passed through
    COUNTED = "counted"  # counted for a whole batch of documents
    RUN = "run"  # the same for a whole run


Word = Annotated[str, Kind("string", "string")]
Text = Annotated[str, Kind("string", "large_string")]  # a batch of documents may exceed 2 GiB
Int32 = Annotated[int, Kind("int", "int32")]
Int64 = Annotated[int, Kind("long", "int64")]
Real = Annotated[float, Kind("double", "float64")]
Time = Annotated[str, Kind("timestamp", "timestamp")]


@dataclass(frozen=True, kw_only=True)
class RowField:
    """One column.

    Attributes:
        kind: None for a list of records.
        records: the NamedTuple of a list's records.
    """

    name: str
    kind: Kind | None
    records: type | None
    origin: Origin

    @property
    def ddl(self) -> str:
        """Its type in Spark's DDL."""
        if self.kind is not None:
            return self.kind.ddl
        assert self.records is not None
        inner = ",".join(f"{field.name}:{field.ddl}" for field in fields_of(self.records))
        return f"array<struct<{inner}>>"


@lru_cache(maxsize=8)
def fields_of(row: type) -> tuple[RowField, ...]:
    """The columns of a NamedTuple, in order.

    Raises:
        TypeError: a field is no type of this module.
    """
    return tuple(_field(name, hint) for name, hint in typing.get_type_hints(row, include_extras=True).items())


def ddl_of(row: type, origins: Collection[Origin] = tuple(Origin)) -> str:
    """Spark's DDL of the columns that come from some origins."""
    return ", ".join(f"{field.name} {field.ddl}" for field in fields_of(row) if field.origin in origins)


def _field(name: str, hint: object) -> RowField:
    notes = list(_notes(hint))
    kind = next((note for note in notes if isinstance(note, Kind)), None)
    records = next((note for note in notes if isinstance(note, type) and hasattr(note, "_fields")), None)
    if kind is None and records is None:
        raise TypeError(f"{name}: {hint} has no type in Spark")
    origin = next((note for note in notes if isinstance(note, Origin)), Origin.EXECUTED)
    return RowField(name=name, kind=kind, records=records, origin=origin)


def _notes(hint: object) -> typing.Iterator[object]:
    """Everything inside an annotation."""
    yield hint
    for inner in (*typing.get_args(hint), *getattr(hint, "__metadata__", ())):
        yield from _notes(inner)
