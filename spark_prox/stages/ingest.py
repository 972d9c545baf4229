"""Ingest: rows of any source become `documents` and `rejects`.

The rows are stored once beside the tables and split from there, so that an archive is parsed once. Documents that are
there already with the same text are left alone; those whose text changed are replaced; those that a change data feed
says are gone are removed. Knows nothing of formats.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from spark_prox.errors import RejectCode
from spark_prox.sources.frames.delta_stream import DELETED
from spark_prox.spark.progress import Progress, announce
from spark_prox.stages.own_columns import OwnColumns
from spark_prox.stages.removal import remove_documents
from spark_prox.stages.runlog import RunLog
from spark_prox.warehouse.schemas import BUCKETS, DOCUMENTS, REJECTS
from spark_prox.warehouse.tables import Warehouse

__all__ = ["ingest"]

_INPUT_COLUMNS = (
    "doc_id",
    "url",
    "text",
    "source",
    "crawl",
    "path",
    "position",
    "reject_code",
    "reject_detail",
)
_UNREADABLE = (RejectCode.ARCHIVE_UNREADABLE.value, RejectCode.FILE_UNREADABLE.value)


def ingest(
    spark: SparkSession,
    warehouse: Warehouse,
    rows: DataFrame,
    log: RunLog,
    *,
    settings: str,
    micro_batch: str = "",
    is_feed: bool = False,
) -> None:
    """Store the rows of `spark_prox.sources.frames`.

    Args:
        micro_batch: tells the micro-batch of a stream from others; "" for a batch run. A part of the ids of rejects,
            because the rows of a stream have no place that would tell them apart.
        is_feed: the rows are the last change of each id, so what they say replaces what was known of it.

    Raises:
        TableError: TABLE_SCHEMA when the user's columns do not fit the existing tables; nothing is written then.
    """
    with log.stage("ingest", settings) as figures:
        rows, own = OwnColumns.pack_input(rows, _INPUT_COLUMNS)
        warehouse.ensure("documents", own.fields)
        warehouse.ensure("rejects")
        with warehouse.staged(rows, "ingest", Progress(spark, "ingest: read and parse")) as stored:
            good = stored.where("reject_code IS NULL")
            documents = good.select(
                "doc_id",
                F.sha2("text", 256).alias("doc_hash"),
                *("url", "text", "source", "crawl", "path", "position"),
                F.pmod(F.xxhash64("doc_id"), F.lit(BUCKETS)).cast("int").alias("bucket"),
                F.lit(log.run_id).alias("ingested_by"),
                F.current_timestamp().alias("ingested_at"),
                *own.carried(),
            )

            def as_stored(packed: DataFrame) -> DataFrame:
                return packed.select(*DOCUMENTS.schema.fieldNames(), *own.unpacked())

            bad = stored.where(F.col("reject_code") != DELETED)
            rejects = _rejects(bad, log.run_id, micro_batch)
            if is_feed:
                _replace_known(warehouse, stored, rejects)
            known = warehouse.read("documents").select("doc_id", F.col("doc_hash").alias("known_hash"))
            # Decided before the append: afterwards the new documents would look known.
            counts = _counts(stored, known)
            figures.skipped = counts["same"]
            figures.documents = counts["good"] - counts["same"]
            figures.rejects = counts["bad"]
            if figures.documents:
                with Progress(spark, "ingest: store", documents=figures.documents):
                    if counts["changed"]:
                        differs = "known_hash IS NULL OR known_hash <> doc_hash"
                        changed = documents.join(known, "doc_id", "left").where(differs)
                        warehouse.upsert("documents", as_stored(changed))
                    else:
                        fresh = documents.join(known, "doc_id", "left_anti")
                        # Without a number: adaptive execution then chooses files of a sensible size.
                        warehouse.append("documents", as_stored(fresh.repartitionByRange("bucket")))
            _forget_repaired(warehouse, stored, rejects)
            if figures.rejects:
                known_rejects = warehouse.read("rejects").select("reject_id")
                warehouse.append("rejects", rejects.join(known_rejects, "reject_id", "left_anti"))
        spark.catalog.clearCache()  # what the reader kept on disk to read its input once


def _counts(stored: DataFrame, known: DataFrame) -> Row:
    """How many rows are good, how many are bad, and of the good ones how many are known: the same, or changed."""
    good, hashed = F.col("reject_code").isNull(), F.sha2("text", 256)
    named = stored.select("reject_code", F.when(good, F.col("doc_id")).alias("doc_id"), hashed.alias("doc_hash"))
    counts = (
        named.join(known, "doc_id", "left")
        .agg(
            F.count_if(good).alias("good"),
            F.count_if(F.col("reject_code") != DELETED).alias("bad"),
            F.count_if(good & (F.col("known_hash") == F.col("doc_hash"))).alias("same"),
            F.count_if(good & (F.col("known_hash") != F.col("doc_hash"))).alias("changed"),
        )
        .first()
    )
    assert counts is not None
    return counts


def _forget_repaired(warehouse: Warehouse, stored: DataFrame, rejects: DataFrame) -> None:
    """Remove what was said of a file that could not be read, where this run has read it and does not say so again."""
    unreadable = warehouse.read("rejects").where(F.col("code").isin(*_UNREADABLE) & (F.col("stage") == "ingest"))
    if unreadable.isEmpty():
        return
    read = unreadable.join(stored.select("path"), "path", "left_semi")
    old = read.select("reject_id").join(rejects.select("reject_id"), "reject_id", "left_anti")
    if not old.isEmpty():
        warehouse.delete("rejects", old, ["reject_id"])


def _replace_known(warehouse: Warehouse, stored: DataFrame, rejects: DataFrame) -> None:
    """Remove the documents that are gone or can no longer be read, and the rejects of ids that say something new."""
    named = stored.where("doc_id IS NOT NULL")
    alive = named.where("reject_code IS NULL").select("doc_id")
    gone = named.where("reject_code IS NOT NULL").select("doc_id").distinct().join(alive, "doc_id", "left_anti")
    if removed := remove_documents(warehouse, gone):
        announce(f"ingest: {removed:,} documents removed, which the source deleted or made unreadable")
    old = (
        warehouse.read("rejects")
        .where("stage = 'ingest'")
        .join(named.select("doc_id"), "doc_id", "left_semi")
        .join(rejects.select("reject_id"), "reject_id", "left_anti")
    )
    if not old.isEmpty():
        warehouse.delete("rejects", old.select("reject_id"), ["reject_id"])


def _rejects(stored: DataFrame, run_id: str, micro_batch: str) -> DataFrame:
    """Rows of `rejects`. The id counts equal rows, so that a second run of the same input adds nothing."""
    place = ("path", "position", "doc_id", "reject_code")
    ordinal = F.row_number().over(Window.partitionBy(*place).orderBy("reject_detail"))
    identity = F.sha2(
        F.concat_ws(
            "|",
            *(F.coalesce(F.col(name).cast("string"), F.lit("-")) for name in place),
            ordinal.cast("string"),
            *([F.lit(micro_batch)] if micro_batch else []),
        ),
        256,
    )
    return (
        stored.where("reject_code IS NOT NULL")
        .drop("text")
        .select(
            identity.alias("reject_id"),
            "doc_id",
            "url",
            F.col("reject_code").alias("code"),
            F.col("reject_detail").alias("detail"),
            F.lit("ingest").alias("stage"),
            "path",
            "position",
            "source",
            "crawl",
            F.lit(1).alias("attempts"),
            F.lit(run_id).alias("run_id"),
            F.current_timestamp().alias("rejected_at"),
        )
        .select(*REJECTS.schema.fieldNames())
    )
