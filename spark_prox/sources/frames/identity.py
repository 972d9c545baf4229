"""Finds documents with the same id, by shuffling ids and places only, never texts.

The first of them by place stays: by file and position where rows have one, else by the hash of the text. A document
with an id that the user named is rejected when the id is taken; one whose id was made or found is numbered and kept.
"""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_prox.config.names import quoted
from spark_prox.spark.counting import count_rows

__all__ = ["ROW", "resolve_duplicates"]

ROW = "__prox_row"
"""Tells rows apart that have no place; numbered here unless the column is there."""

MAX_BROADCAST_ROWS = 2_000_000


def resolve_duplicates(rows: DataFrame, *, id_is_explicit: bool, has_positions: bool) -> DataFrame:
    """The same rows; of documents with one id the second and further ones rejected or renamed `id#2`, `id#3`, ...

    Reads the ids once to look for repeated ones; without any, `rows` comes back as it was.

    Args:
        rows: `doc_id`, `text`, `path`, `position`, `reject_code`, `reject_detail` and others.
        id_is_explicit: reject instead of renaming.
        has_positions: (path, position) tells rows apart; otherwise the row's number in the plan does.
    """
    numbered = has_positions or ROW in rows.columns
    tagged = rows if numbered else rows.withColumn(ROW, F.monotonically_increasing_id())
    key = ["path", "position"] if has_positions else [ROW]
    order = key if has_positions else ["__prox_hash", ROW]
    good = tagged.where("reject_code IS NULL")
    ids = good.select("doc_id", *key, *([] if has_positions else [F.sha2("text", 256).alias("__prox_hash")]))
    repeated = ids.groupBy("doc_id").count().where("count > 1").select("doc_id")
    if not count_rows(repeated, {"ids": "count(*)"})["ids"]:
        return rows
    by_id = Window.partitionBy("doc_id").orderBy(*order)
    later = (
        ids.join(repeated, "doc_id", "left_semi")
        .withColumn("__prox_rank", F.row_number().over(by_id))
        .where("__prox_rank > 1")
        .select(F.col("doc_id").alias("__prox_id"), *(F.col(name).alias(f"{name}__key") for name in key), "__prox_rank")
        .persist(StorageLevel.DISK_ONLY)
    )
    count = later.count()
    right = F.broadcast(later) if count <= MAX_BROADCAST_ROWS else later
    same = F.col("doc_id") == F.col("__prox_id")
    for name in key:
        same = same & F.col(name).eqNullSafe(F.col(f"{name}__key"))
    joined = tagged.join(right, same & F.col("reject_code").isNull(), "left")
    is_later = F.col("__prox_rank").isNotNull()
    changes = (
        {
            "reject_code": F.when(is_later, F.lit("DUPLICATE_ID")).otherwise(F.col("reject_code")),
            "reject_detail": F.when(is_later, F.concat(F.lit("use "), "__prox_rank", F.lit(" of this id"))).otherwise(
                F.col("reject_detail")
            ),
        }
        if id_is_explicit
        else {"doc_id": F.when(is_later, F.concat("doc_id", F.lit("#"), "__prox_rank")).otherwise(F.col("doc_id"))}
    )
    return joined.withColumns(changes).select(*(F.col(quoted(name)) for name in rows.columns))
