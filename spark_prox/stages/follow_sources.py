"""Documents whose texts were not copied name the newest version of their source that still has their text.

So older versions may be vacuumed, and one scan of the source serves what was read in many runs. Buckets are dealt out
anew in the order of all ids. A text that has changed since stays where it was.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_prox.stages.own_columns import OwnColumns
from spark_prox.stages.uncopied import in_id_order
from spark_prox.warehouse.schemas import DOCUMENTS
from spark_prox.warehouse.source_tables import TextPlace
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import unchanged_texts

__all__ = ["follow_sources", "versions_needed"]

_COLUMNS = ("table", "id_column", "id_type", "text_column")


def versions_needed(warehouse: Warehouse) -> list[Row]:
    """(table, version, documents) of the versions in which texts lie."""
    place = [F.col(f"text_place.{name}").alias(name) for name in ("table", "version")]
    outside = warehouse.read("documents").where("text_place IS NOT NULL").select(*place)
    counts = outside.groupBy("table", "version").agg(F.count("*").alias("documents"))
    return counts.orderBy("table", "version").collect()


def follow_sources(warehouse: Warehouse) -> int:
    """One commit for each source with documents that name an older version; gives the number of documents in them."""
    outside = warehouse.read("documents").where("text_place IS NOT NULL")
    names = [F.col(f"text_place.{name}").alias(name) for name in _COLUMNS]
    oldest = F.min("text_place.version").alias("oldest")
    moved = 0
    for row in outside.groupBy(*names).agg(oldest, F.count("*").alias("documents")).collect():
        place = TextPlace(version=warehouse.sources.present(row["table"]), **{name: row[name] for name in _COLUMNS})
        if row["oldest"] < place.version:
            moved += _follow(warehouse, outside, place, row["documents"])
    return moved


def _follow(warehouse: Warehouse, outside: DataFrame, place: TextPlace, count: int) -> int:
    mine = outside
    for name in _COLUMNS:
        mine = mine.where(F.col(f"text_place.{name}") == F.lit(getattr(place, name)))
    same = unchanged_texts(warehouse, mine)
    if same is None:
        return 0
    version = F.col("text_place").withField("version", F.lit(place.version).cast("long"))
    own, core = OwnColumns(warehouse.user_columns("documents")), DOCUMENTS.schema.fieldNames()
    named = mine.join(same, ["doc_id", "doc_hash"], "left_semi").withColumn("text_place", version)
    ordered = in_id_order(named.select(*core, *own.packed()), count, place)
    with warehouse.staged(ordered, "documents") as rows:  # MERGE evaluates its source twice
        warehouse.upsert("documents", rows.select(*core, *own.unpacked()))
        return rows.count()
