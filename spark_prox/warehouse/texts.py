"""The texts of documents: the one place that knows whether a text was copied into `documents` or lies in its source.

A text of a source is found by the document's id, in the version that the document names, and is taken only if its hash
is the document's. So a row that has changed, or is gone, gives no text, and never another one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from spark_prox.errors import TableError
from spark_prox.warehouse.source_tables import TextPlace
from spark_prox.warehouse.tables import Warehouse

__all__ = [
    "TEXT_GONE",
    "byte_count",
    "char_count",
    "has_texts_outside",
    "leave_texts_outside",
    "text_gone",
    "texts_of",
    "unchanged_texts",
    "whole_texts",
    "with_texts",
]

TEXT_GONE = "TEXT_GONE"
"""Why a document is in `rejects` whose text is not in its source any more."""

_ID = ["doc_id", "doc_hash"]
_PLACE = ("table", "version", "id_column", "id_type", "text_column")
_BROADCAST_ROWS = 500_000
_FOUND = "__prox_found"
_OUTSIDE = "spark_prox.texts_outside"
_ENDS = {"lowest": F.min, "highest": F.max}


def texts_of(warehouse: Warehouse, documents: DataFrame) -> DataFrame:
    """(doc_id, doc_hash, text); documents whose text cannot be had are left out.

    Args:
        documents: rows of `documents`, with the columns doc_id, doc_hash, text and text_place at least.

    Raises:
        TableError: TEXT_SOURCE_MISSING.
    """
    copied = documents.select(*_ID, "text")
    if not has_texts_outside(warehouse, documents):
        return copied
    found = _read(warehouse, documents.where("text_place IS NOT NULL").select(*_ID, "text_place"))
    copied = documents.where("text_place IS NULL").select(*_ID, "text")
    return copied if found is None else copied.unionByName(found)


def with_texts(warehouse: Warehouse, documents: DataFrame) -> DataFrame:
    """The same rows and columns, with the text of each; null where it cannot be had. As `texts_of` otherwise."""
    if not has_texts_outside(warehouse, documents):
        return documents
    found = _read(warehouse, documents.where("text_place IS NOT NULL").select(*_ID, "text_place"))
    if found is None:
        return documents
    joined = documents.join(found.withColumnRenamed("text", _FOUND), _ID, "left")
    return joined.withColumn("text", F.coalesce("text", _FOUND)).drop(_FOUND)


def whole_texts(warehouse: Warehouse, documents: DataFrame) -> DataFrame:
    """As `with_texts`, but a text that cannot be had ends the job that reads it, with TEXT_GONE."""
    rows = with_texts(warehouse, documents)
    if rows is documents:
        return documents
    error = F.raise_error(F.lit(str(text_gone("a document")))).cast("string")
    return rows.withColumn("text", F.coalesce("text", error))


def text_gone(whose: str) -> TableError:
    """The error of a reader that cannot go on without a text."""
    return TableError(
        TEXT_GONE,
        f"The text of {whose} lies in a Delta table that does not have it any more: the row changed or went, and "
        "VACUUM took the version that was read.",
        "Ingest the table again, so that changed rows become new documents; or restore it. See docs/operations.md.",
    )


def leave_texts_outside(spark: SparkSession, warehouse: Warehouse, user_columns: Sequence[StructField]) -> None:
    """Before the first document whose text is not copied: a property of `documents` says that there may be some."""
    warehouse.ensure("documents", user_columns)
    if not _says_outside(spark, warehouse):
        with warehouse.commit("documents"):
            spark.sql(f"ALTER TABLE {warehouse.name('documents')} SET TBLPROPERTIES ('{_OUTSIDE}' = 'true')")
    warehouse.sources.are_used = True


def has_texts_outside(warehouse: Warehouse, rows: DataFrame) -> bool:
    """True if there may be documents whose texts were not copied; looked at once."""
    sources = warehouse.sources
    if "text_place" not in rows.columns:  # an old version of the table
        return False
    if sources.are_used is None and warehouse.exists("documents"):
        sources.are_used = _says_outside(rows.sparkSession, warehouse)
    return bool(sources.are_used)


def _says_outside(spark: SparkSession, warehouse: Warehouse) -> bool:
    properties = spark.sql(f"SHOW TBLPROPERTIES {warehouse.name('documents')}")
    return not properties.where((F.col("key") == _OUTSIDE) & (F.col("value") == "true")).isEmpty()


def char_count() -> Column:
    """Characters of a document of `documents`, without reading a text that was not copied."""
    return F.coalesce(F.col("text_place.chars"), F.char_length("text").cast("long"))


def byte_count() -> Column:
    """The same in bytes of UTF-8."""
    return F.coalesce(F.col("text_place.bytes"), F.octet_length("text").cast("long"))


def unchanged_texts(warehouse: Warehouse, documents: DataFrame) -> DataFrame | None:
    """(doc_id, doc_hash) of documents whose texts are in the present version of their source as well; None for none."""
    outside = documents.where("text_place IS NOT NULL").select(*_ID, "text_place")
    found = _read(warehouse, outside, at_present=True)
    return None if found is None else found.select(*_ID)


def _read(warehouse: Warehouse, outside: DataFrame, *, at_present: bool = False) -> DataFrame | None:
    """(doc_id, doc_hash, text) of documents whose texts lie in sources; None for no documents."""
    places = _places(outside)
    if not places:
        return None
    tables, opened = warehouse.sources, dict[tuple[object, ...], list[Row]]()
    for row in places:
        name = row["table"]
        version = tables.present(name) if at_present else tables.version(name, row["version"])
        opened.setdefault((row["table"], version, row["id_column"], row["id_type"], row["text_column"]), []).append(row)
    number: Column = F.lit(None).cast("int")
    frames, is_pinned = [], True
    for at, (key, rows) in enumerate(opened.items()):
        place = TextPlace(**dict(zip(_PLACE, key, strict=True)))  # type: ignore[arg-type]
        is_pinned &= [row["version"] for row in rows] == [place.version]
        for row in rows:
            number = F.when(_lies_in(row), F.lit(at)).otherwise(number)
        frames.append(_texts_in(tables.read(place.table, place.version), place, rows).withColumn("at", F.lit(at)))
    texts = frames[0]
    for frame in frames[1:]:
        texts = texts.unionByName(frame)
    wanted = outside.select(*_ID, number.alias("at"))
    if sum(row["documents"] for row in places) <= _BROADCAST_ROWS:
        wanted = F.broadcast(wanted)  # the source's texts are not shuffled
    found = texts.join(wanted, ["doc_id", "at"]).where(F.sha2("text", 256) == F.col("doc_hash")).select(*_ID, "text")
    # Ids were looked at in the version that was read, where each names one row.
    return found if is_pinned else found.dropDuplicates(_ID)


def _places(outside: DataFrame) -> list[Row]:
    """The places of these documents, each once, with their number and the range of their ids."""
    columns = [F.col(f"text_place.{name}").alias(name) for name in _PLACE]
    number = F.expr("try_cast(doc_id AS bigint)")
    return (
        outside.select(*columns, "doc_id", number.alias("number"))
        .groupBy(*_PLACE)
        .agg(
            F.count("*").alias("documents"),
            *(f(name).alias(f"{word}_{name}") for name in ("doc_id", "number") for word, f in _ENDS.items()),
        )
        .orderBy("table", "version")
        .collect()
    )


def _lies_in(row: Row) -> Column:
    same: Column = F.lit(True)
    for name in _PLACE:
        same = same & (F.col(f"text_place.{name}") == F.lit(row[name]))
    return same


def _texts_in(rows: DataFrame, place: TextPlace, asked: Sequence[Row]) -> DataFrame:
    """(doc_id, text) of the rows of a source that lie in the range of the ids."""
    name = "number" if place.id_type == "bigint" else "doc_id"
    lowest, highest = min(row[f"lowest_{name}"] for row in asked), max(row[f"highest_{name}"] for row in asked)
    bounds = F.col(place.id_column).between(F.lit(lowest), F.lit(highest))  # by this, files are left out
    texts = rows.where(bounds)
    return texts.select(
        F.col(place.id_column).cast("string").alias("doc_id"), F.col(place.text_column).cast("string").alias("text")
    )
