"""The Spark schema of a Parquet file, and whether Spark's own reader can read the file.

Types follow Spark's reader; what it has no type for gets the nearest one: a column of nulls has none (`void`), UUIDs,
times and decimals of more than 38 digits are strings, nanoseconds are cut to microseconds, half floats are floats.
Such files, and those with encodings or codecs that Spark lacks, are read with pyarrow (see `arrow_rows`). Knows
nothing of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spark_prox.sources.json_shape import MAX_DEPTH

__all__ = ["FileShape", "UnreadableColumnError", "shape_of_file"]

SPARK_CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD")
FOREIGN_ENCODINGS = ("BYTE_STREAM_SPLIT",)
EXACT_IN_DOUBLE = 1 << 53
MAX_CHUNK_BYTES = 256 << 20
MAX_CHUNK_RATIO = 200
"""A chunk of a column over both is no text: real pages pack to a tenth."""

SCALARS = {
    "bool": "boolean", "int8": "byte", "int16": "short", "int32": "integer", "int64": "long",
    "uint8": "short", "uint16": "integer", "uint32": "long", "uint64": "decimal(20,0)",
    "float": "float", "double": "double", "date32[day]": "date", "date64[ms]": "date",
    "string": "string", "large_string": "string", "string_view": "string",
    "binary": "binary", "large_binary": "binary", "binary_view": "binary",
}  # fmt: skip
Kind = str | dict[str, Any]


class UnreadableColumnError(ValueError):
    """A column that neither Spark nor pyarrow gives a type to, or that claims too much; its text names it."""


@dataclass(frozen=True, kw_only=True)
class FileShape:
    """The content of a file.

    Attributes:
        schema: a struct, as in Spark's JSON of schemas.
        foreign: why Spark's reader cannot read it; "" if it can.
        large: columns of type `long`, by path with dots, that may have values beyond 2^53, which a `double` rounds.
    """

    schema: dict[str, Any]
    foreign: str
    large: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The shape as text; equal for files of equal shape."""
        return json.dumps([self.schema, self.foreign, self.large], separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> FileShape:
        """The inverse of `to_json`."""
        schema, foreign, large = json.loads(text)
        return FileShape(schema=schema, foreign=foreign, large=tuple(large))


def shape_of_file(file: Any) -> FileShape:
    """The shape of a `pyarrow.parquet.ParquetFile`, from its footer.

    Raises:
        UnreadableColumnError: a column of a type, depth or size that cannot be read.
    """
    walk = _Walk(file.schema)
    fields = [_field(field.name, walk.kind(field.type, field.name)) for field in file.schema_arrow]
    names = [field["name"].lower() for field in fields]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        walk.foreign.append(f"two columns are called {repeated!r} in one spelling or another")
    foreign = [*walk.foreign, *_foreign_chunks(file.metadata)]
    large = tuple(name for name, leaf in walk.longs if not _is_exact(file.metadata, leaf))
    return FileShape(schema={"type": "struct", "fields": fields}, foreign=foreign[0] if foreign else "", large=large)


class _Walk:
    """Goes through the types of a file, whose leaves are the columns of its Parquet schema in the same order."""

    def __init__(self, schema: Any) -> None:
        self.foreign: list[str] = []
        self.longs: list[tuple[str, int]] = []
        self._schema = schema
        self._leaf = 0

    def kind(self, arrow: Any, name: str, depth: int = 0) -> Kind:
        import pyarrow.types as is_type

        if depth > MAX_DEPTH:
            raise UnreadableColumnError(f"column {name!r} is nested in more than {MAX_DEPTH} levels")
        if is_type.is_struct(arrow):
            inner = [arrow.field(at) for at in range(arrow.num_fields)]
            return {
                "type": "struct",
                "fields": [_field(one.name, self.kind(one.type, f"{name}.{one.name}", depth + 1)) for one in inner],
            }
        if is_type.is_map(arrow):
            return {
                "type": "map",
                "keyType": self.kind(arrow.key_type, f"{name}.key", depth + 1),
                "valueType": self.kind(arrow.item_type, f"{name}.value", depth + 1),
                "valueContainsNull": True,
            }
        if hasattr(arrow, "value_type") and not is_type.is_dictionary(arrow):
            element = self.kind(arrow.value_type, f"{name}.element", depth + 1)
            return {"type": "array", "elementType": element, "containsNull": True}
        column = self._schema.column(self._leaf)
        self._leaf += 1
        kind = self._leaf_kind(arrow, column, name)
        if kind == "long":
            self.longs.append((name, self._leaf - 1))
        return kind

    def _leaf_kind(self, arrow: Any, column: Any, name: str) -> str:
        import pyarrow.types as is_type

        logical = column.logical_type.type
        arrow = getattr(arrow, "storage_type", arrow)  # of an extension
        if is_type.is_dictionary(arrow):
            arrow = arrow.value_type
        if logical == "UUID":
            return self._cast(name, "UUID", "string")
        if logical in ("ENUM", "JSON"):
            return "string"
        if is_type.is_null(arrow):
            return self._cast(name, "nulls only", "void")
        if is_type.is_float16(arrow):
            return self._cast(name, "FLOAT16", "float")
        if is_type.is_time(arrow):
            return self._cast(name, "TIME", "string")
        if is_type.is_decimal(arrow):
            return _decimal(arrow) or self._cast(name, str(arrow), "string")
        if is_type.is_timestamp(arrow):
            int96 = column.physical_type == "INT96"
            kind = "timestamp" if int96 or arrow.tz else "timestamp_ntz"
            return self._cast(name, "nanoseconds", kind) if arrow.unit == "ns" and not int96 else kind
        if is_type.is_duration(arrow):
            return "long"
        if is_type.is_fixed_size_binary(arrow):
            return self._cast(name, logical, "binary") if logical not in ("NONE", "UNKNOWN") else "binary"
        scalar = SCALARS.get(str(arrow))
        if scalar is None:
            raise UnreadableColumnError(f"column {name!r} is of type {arrow}, which Spark has not")
        return scalar

    def _cast(self, name: str, what: str, kind: str) -> str:
        self.foreign.append(f"column {name!r} is of type {what}")
        return kind


def _is_exact(metadata: Any, leaf: int) -> bool:
    """True if the statistics of a column of integers say that a `double` holds each of them."""
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(leaf)
        found = chunk.statistics
        if chunk.num_values and found is not None and found.null_count == chunk.num_values:
            continue
        if found is None or not found.has_min_max:
            return False
        if not (isinstance(found.min, int) and isinstance(found.max, int)):
            return False
        if found.min < -EXACT_IN_DOUBLE or found.max > EXACT_IN_DOUBLE:
            return False
    return True


def _decimal(arrow: Any) -> str | None:
    return f"decimal({arrow.precision},{arrow.scale})" if arrow.precision <= 38 and arrow.scale >= 0 else None


def _foreign_chunks(metadata: Any) -> Iterator[str]:
    """Why Spark cannot read the file's chunks; an error for one that claims far more than it holds."""
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(at)
            name = chunk.path_in_schema
            size, stored = chunk.total_uncompressed_size, chunk.total_compressed_size
            if size > MAX_CHUNK_BYTES and size > MAX_CHUNK_RATIO * max(stored, 1):
                raise UnreadableColumnError(f"column {name!r} unpacks {stored} bytes to {size}")
            if chunk.compression not in SPARK_CODECS:
                yield f"column {name!r} is packed with {chunk.compression}"
            for encoding in FOREIGN_ENCODINGS:
                if encoding in chunk.encodings:
                    yield f"column {name!r} is encoded with {encoding}"


def _field(name: str, kind: Kind) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}
