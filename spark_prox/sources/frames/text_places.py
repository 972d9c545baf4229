"""Finds how the texts of a Delta table can be read again: by which id, in which column, at which version.

Refuses a table where that is not possible, and says why. Reads ids at most.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ByteType, DataType, IntegerType, LongType, ShortType, StringType, StructType

from spark_prox.config.input import InputSpec, copy_needed
from spark_prox.config.names import quoted, quoted_name
from spark_prox.sources.frames.files import plain_path
from spark_prox.sources.frames.places import flat_columns
from spark_prox.sources.frames.raw import delta_table
from spark_prox.sources.layouts import find_layout
from spark_prox.warehouse.source_tables import TextPlace

__all__ = ["repeated_ids", "text_place"]

_WHOLE_NUMBERS = (ByteType, ShortType, IntegerType, LongType)


def text_place(spark: SparkSession, spec: InputSpec, version: int | None) -> TextPlace:
    """The place of a table's texts.

    Args:
        version: that is read; None where that cannot be told.

    Raises:
        InputError: COPY_NEEDED; INPUT_NOT_FOUND, WRONG_FORMAT, MISSING_COLUMN, BAD_COLUMN.
    """
    rows, is_path = delta_table(spark, spec)
    if version is None:
        raise copy_needed(f"{spec.path!r} has no versions, as a view has none")
    layout = find_layout(spec, flat_columns(rows.schema), mixed=False)
    assert layout.doc_id is not None  # COPY_NEEDED without input.id_column
    kind = _type_of(layout.doc_id, rows.schema)
    if not isinstance(kind, (*_WHOLE_NUMBERS, StringType)):
        raise copy_needed(
            f"column {layout.doc_id!r} is of type {kind.simpleString()}; ids must be text or whole numbers"
        )
    return TextPlace(
        table=_table_name(spark, spec, is_path=is_path),
        version=version,
        id_column=_as_column(layout.doc_id, rows.schema),
        id_type="string" if isinstance(kind, StringType) else "bigint",
        text_column=_as_column(layout.text[0], rows.schema),
    )


def repeated_ids(rows: DataFrame, place: TextPlace, ids: DataFrame) -> int:
    """How many of these ids name more than one row of a table.

    Args:
        rows: the table, at the version of `place`.
        ids: (doc_id), distinct and stored.
    """
    named = rows.select(F.col(place.id_column).cast("string").alias("doc_id"))
    wanted = named.join(ids, "doc_id", "left_semi")
    return wanted.groupBy("doc_id").count().where("count > 1").count()


def _table_name(spark: SparkSession, spec: InputSpec, *, is_path: bool) -> str:
    """The table by a name that means the same in another session: its root, or its name with schema and catalog."""
    detail = spark.sql(f"DESCRIBE DETAIL {f'delta.{quoted(spec.path)}' if is_path else spec.path}").first()
    assert detail is not None
    if is_path:
        return plain_path(detail["location"])
    parts = tuple((detail["name"] or "").split("."))
    return quoted_name(parts) if len(parts) == 3 else spec.path


def _as_column(name: str, schema: StructType) -> str:
    """A column, also one with a dot in its name, or a field of a struct, as `F.col` takes it."""
    if name in schema.names:
        return quoted(name)
    outer, _, inner = name.partition(".")
    return quoted_name((outer, inner))


def _type_of(name: str, schema: StructType) -> DataType:
    if name in schema.names:
        return schema[name].dataType
    outer, _, inner = name.partition(".")
    struct = schema[outer].dataType
    assert isinstance(struct, StructType)
    return struct[inner].dataType
