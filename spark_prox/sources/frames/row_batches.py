"""Packs rows into Arrow batches of bounded size, with the columns and types of a Spark schema.

Knows the fields of a row by their names, not what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from spark_prox.sources.warc.record_rows import RecordRow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["batches_of"]

BATCH_ROWS = 1024
BATCH_BYTES = 8 << 20


def batches_of(rows: Iterable[RecordRow], schema: StructType) -> Iterator[pa.RecordBatch]:
    """Batches of at most 1,024 rows and about 8 MiB of texts and payloads; one without rows gives none."""
    arrow = to_arrow_schema(schema)
    places = [RecordRow._fields.index(name) for name in schema.fieldNames()]
    waiting: list[RecordRow] = []
    size = 0
    for row in rows:
        waiting.append(row)
        size += len(row.text or "") + len(row.payload or b"")
        if len(waiting) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _batch(waiting, places, arrow)
            waiting, size = [], 0
    if waiting:
        yield _batch(waiting, places, arrow)


def _batch(rows: list[RecordRow], places: list[int], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = []
    for place, field in zip(places, schema, strict=True):
        values: list[object] = [row[place] for row in rows]
        if pa.types.is_map(field.type):
            values = [list(value.items()) if isinstance(value, dict) else None for value in values]
        columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
