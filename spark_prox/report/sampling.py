"""Which documents a report looks at one by one: chosen by a hash of seed and id, so that a seed chooses the same again.

Bounded in documents and characters whatever the corpus: the driver holds what is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from spark_prox.warehouse.tables import Warehouse

__all__ = ["by_outcome", "hashed", "labelled", "random_documents", "share_of"]

MAX_CHARS = 2_000_000
"""A longer document is never looked at: a page of it would say nothing."""

_ALL_CHARS = 48_000_000


def hashed(seed: int) -> Column:
    """A number for each document that its id and the seed decide, spread evenly over all longs."""
    return F.xxhash64(F.lit(seed), F.col("doc_id"))


def share_of(rows: DataFrame, seed: int, share: float) -> DataFrame:
    """A share of the documents, by the same hash; all of them for 1 or more."""
    if share >= 1:
        return rows
    return rows.where(F.pmod(F.xxhash64(F.lit(seed + 1), F.col("doc_id")), F.lit(1_000_000)) < int(share * 1_000_000))


def random_documents(refined: DataFrame, seed: int, most: int) -> list[str]:
    """Ids of a simple random sample of at most `most` documents."""
    rows = refined.where(F.col("chars_before") <= MAX_CHARS).select(
        "doc_id", "chars_before", hashed(seed).alias("place")
    )
    return _bounded(rows.orderBy("place", "doc_id").limit(most).collect())


def by_outcome(refined: DataFrame, seed: int, most: int) -> list[str]:
    """Ids of documents of every outcome and reason: each gets an equal share of `most`, what is left goes to the rest.

    The order takes turns between the outcomes and reasons, so that a shorter list still has all of them.
    """
    small = refined.where(F.col("chars_before") <= MAX_CHARS)
    rows = small.select("doc_id", "outcome", "reason", "chars_before", hashed(seed).alias("place"))
    numbered = rows.selectExpr(
        "*", "row_number() OVER (PARTITION BY outcome, reason ORDER BY place, doc_id) AS turn"
    ).where(F.col("turn") <= most)
    return _bounded(numbered.orderBy("turn", "outcome", "reason").limit(most).collect())


def labelled(warehouse: Warehouse, refined: DataFrame, hashes: Sequence[str], seed: int, most: int) -> list[str]:
    """Ids of refined documents that have labels: those whose hash is given, or in `annotations`."""
    known = refined.sparkSession.createDataFrame([(value,) for value in hashes], "doc_hash string")
    if warehouse.exists("annotations"):
        stored = warehouse.read("annotations").where("status = 'OK' AND stage = 'chunk'").select("doc_hash")
        known = known.unionByName(stored).distinct()
    elif not hashes:
        return []
    return random_documents(refined.join(known, "doc_hash", "left_semi"), seed, most)


def _bounded(rows: Iterable[Row]) -> list[str]:
    chosen: list[str] = []
    chars = 0
    for row in rows:
        chars += row["chars_before"] or 0
        if chosen and chars > _ALL_CHARS:
            break
        chosen.append(row["doc_id"])
    return chosen
