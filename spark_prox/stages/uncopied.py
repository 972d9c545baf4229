"""Ingest of documents whose texts stay in their source (`input.copy_text: false`).

A row keeps the hash and the length of its text and where it lies, before anything is stored. Buckets follow the order
of the ids, and not their hash, so that a batch of a stage, which is a range of buckets, is a range of ids: where the
source is clustered by id, the batch reads few of its files.
"""

from __future__ import annotations

import math
from dataclasses import asdict

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.config.input import copy_needed
from spark_prox.sources.frames.text_places import repeated_ids
from spark_prox.warehouse.schemas import BUCKETS, TEXT_PLACE
from spark_prox.warehouse.source_tables import TextPlace
from spark_prox.warehouse.tables import Warehouse

__all__ = ["check_ids", "elsewhere", "in_id_order", "without_texts"]

_SLICE_ROWS = 1_000
_MAX_SLICES = 4_096


def without_texts(rows: DataFrame, place: TextPlace) -> DataFrame:
    """Rows of an input with `doc_hash` and `text_place`, and a null `text`."""
    said = {name: F.lit(value) for name, value in asdict(place).items()}
    said |= {"chars": F.char_length("text").cast("long"), "bytes": F.octet_length("text").cast("long")}
    lies = F.struct(*(value.alias(name) for name, value in said.items())).cast(TEXT_PLACE)
    hashed = rows.withColumns({"doc_hash": F.sha2("text", 256), "text_place": lies})
    return hashed.withColumn("text", F.lit(None).cast("string"))


def check_ids(warehouse: Warehouse, stored: DataFrame, place: TextPlace, *, repeated: int, is_part: bool) -> None:
    """Every id names one row of the source.

    Args:
        stored: the rows that were read.
        repeated: how many of them have the id of another one.
        is_part: they are a part of the table, so that the others are asked as well.

    Raises:
        InputError: COPY_NEEDED.
    """
    if not repeated and is_part:
        ids = stored.where("reject_code IS NULL").select("doc_id")
        repeated = repeated_ids(warehouse.sources.read(place.table, place.version), place, ids)
    if repeated:
        raise copy_needed(f"in version {place.version} of {place.table} {repeated:,} rows share their id with another")


def elsewhere(place: TextPlace | None) -> Column:
    """True for a known document (`known_place`) whose text this run finds in another place.

    Args:
        place: of the present input; None if its texts are copied: then a document whose text was not copied gets it.
    """
    if place is None:
        return F.col("known_place").isNotNull()
    same: Column = F.lit(True)
    for name in ("table", "id_column", "text_column"):
        same = same & (F.col(f"known_place.{name}") == F.lit(getattr(place, name)))
    return F.coalesce(~same, F.lit(False))


def in_id_order(documents: DataFrame, count: int, place: TextPlace) -> DataFrame:
    """Documents with buckets in the order of their ids.

    Evaluated once: a row that is computed again may get another bucket.
    """
    slices = min(max(math.ceil(count / _SLICE_ROWS), 1), _MAX_SLICES)
    width = BUCKETS // slices
    ordered = documents.repartitionByRange(slices, F.col("doc_id").cast(place.id_type))
    start = (F.spark_partition_id() * BUCKETS / slices).cast("int")
    within = F.pmod(F.xxhash64("doc_id"), F.lit(width)).cast("int")
    return ordered.withColumn("bucket", F.least(start + within, F.lit(BUCKETS - 1)))
