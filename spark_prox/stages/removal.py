"""Removal: documents that their source no longer has leave every table that a stage writes, `documents` itself last.

Each step is one commit and finds what is left to do, so a run that is killed between two of them goes on when it is
done again.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.sources.frames.delta_stream import DeltaStream
from spark_prox.stages.base import Run
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse

__all__ = ["forget_source", "lost_documents", "remove_documents"]

_NUMBERED = "#[0-9]+$"


def remove_documents(run: Run, ids: DataFrame) -> int:
    """Delete documents and all that was made of them.

    Args:
        ids: (doc_id), distinct and stored.

    Returns:
        How many of them there were in `documents`.
    """
    warehouse, count = run.warehouse, 0
    for table in reversed(run.written):
        spec = TABLES[table]
        if not warehouse.exists(table) or not spec.of_document:
            continue
        rows = warehouse.read(table).where(spec.of_document).join(ids, "doc_id", "left_semi")
        count = rows.count()
        if not count:
            continue
        if spec.of_document == "true":
            warehouse.delete(table, ids, ["doc_id"])
        else:
            warehouse.delete(table, rows.select(*spec.key), spec.key)
    return count


def forget_source(run: Run, source: DeltaStream) -> int:
    """Before a source is read from its beginning: drop what it does not have any more, and its old rejects.

    Returns:
        The number of documents.
    """
    warehouse = run.warehouse
    if warehouse.exists("rejects"):
        old = warehouse.read("rejects").where(_from(source) & (F.col("stage") == "ingest")).select("reject_id")
        if not old.isEmpty():
            warehouse.delete("rejects", old, ["reject_id"])
    lost = lost_documents(warehouse, source)
    if lost is None:
        return 0
    with warehouse.staged(lost, "lost") as stored:
        return 0 if stored.isEmpty() else remove_documents(run, stored)


def lost_documents(warehouse: Warehouse, source: DeltaStream) -> DataFrame | None:
    """(doc_id) of documents that came from a source and are no longer in it.

    Returns:
        None without documents, and for a source without a change data feed: its documents stay.
    """
    if not source.has_feed or not warehouse.exists("documents"):
        return None
    mine = warehouse.read("documents").where(_from(source)).select("doc_id")
    # A batch run numbers the second use of an id that it found by itself.
    plain = mine.withColumn("source_id", F.regexp_replace("doc_id", _NUMBERED, ""))
    ids = source.ids().distinct()
    named = ids.select(F.col("doc_id").alias("source_id"))
    return plain.join(ids, "doc_id", "left_anti").join(named, "source_id", "left_anti").select("doc_id")


def _from(source: DeltaStream) -> Column:
    """True if a row came from a source: a batch run says from which of its files."""
    path = F.col("path")
    return (path == source.root) | path.startswith(source.root.rstrip("/") + "/")
