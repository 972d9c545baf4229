"""The columns that say where a row is from and what could not be read of it, and the names of all others."""

from __future__ import annotations

from pyspark.sql.types import StructType

__all__ = ["CODE", "DETAIL", "PATH", "PLACES", "POSITION", "flat_columns"]

PATH, POSITION, CODE, DETAIL = "__prox_path", "__prox_position", "__prox_code", "__prox_detail"
PLACES = (PATH, POSITION, CODE, DETAIL)


def flat_columns(schema: StructType) -> dict[str, str]:
    """Type by name, with the fields of structs as `struct.field`; Spark's own columns left out."""
    flat: dict[str, str] = {}
    for field in schema.fields:
        if field.name in PLACES:
            continue
        flat[field.name] = field.dataType.simpleString()
        if isinstance(field.dataType, StructType):
            flat.update(
                {f"{field.name}.{inner.name}": inner.dataType.simpleString() for inner in field.dataType.fields}
            )
    return flat
