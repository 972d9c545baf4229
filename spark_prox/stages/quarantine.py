"""Quarantine: a document that cannot be refined is a row of `rejects` and not of `refined`, until it can be.

Its reject has the stage that failed, a code, a detail and how often a program was asked for. The row's id is a hash of
the document and of the settings, so a later run sees whether it still speaks of the same text under the same settings.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.warehouse.schemas import REJECTS
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import TEXT_GONE

__all__ = ["FAILED", "QUARANTINED", "held_documents", "quarantine", "rejected_at", "release"]

FAILED = "outcome = 'FAILED'"
"""Executed rows that belong into `rejects`."""

QUARANTINED = "stage <> 'ingest'"
"""Rows of `rejects` that stand for a row of `documents`; the others stand for a record that never became one."""


def held_documents(warehouse: Warehouse) -> DataFrame:
    """(doc_id, held, rejected) of the documents in quarantine; `rejected` is a list of ids of rejects and times.

    The time is null for those without programs or without a text: they may have got it since.
    """
    time = F.when(~F.col("code").isin("NO_PROGRAM", TEXT_GONE), F.col("rejected_at")).alias("at")
    rejects = warehouse.read("rejects").where(QUARANTINED).groupBy("doc_id")
    return rejects.agg(F.collect_list(F.struct("reject_id", time)).alias("rejected")).withColumn("held", F.lit(True))


def rejected_at(settings: str) -> Column:
    """When a document of `held_documents` was rejected under these settings, with this text; else null."""
    mine = F.filter("rejected", lambda reject: reject["reject_id"] == _identity(settings))
    return F.array_max(F.transform(mine, lambda reject: reject["at"]))


def release(warehouse: Warehouse, documents: DataFrame) -> None:
    """Take documents out of quarantine, before they are executed again or removed."""
    held = warehouse.read("rejects").where(QUARANTINED).join(documents.select("doc_id"), "doc_id", "left_semi")
    if not held.isEmpty():
        warehouse.delete("rejects", held.select("reject_id"), ["reject_id"])


def quarantine(
    warehouse: Warehouse,
    failed: DataFrame,
    documents: DataFrame,
    programs: DataFrame,
    *,
    stored: bool,
    settings: str,
    run_id: str,
) -> int:
    """Put documents into `rejects`, and take those out of `refined` that have a row of other settings there.

    A reader in between finds them in neither; a run that is killed there finds them pending.

    Args:
        failed: stored rows of `refined` whose outcome is FAILED.
        documents, programs: stored documents, and programs that were applied, of these documents at least.
        stored: some of them may be in `refined`.

    Returns:
        The number of documents.
    """
    ids = failed.select("doc_id")
    if stored and not warehouse.read("refined").join(ids, "doc_id", "left_semi").isEmpty():
        warehouse.delete("refined", ids, ["doc_id"])
    places = documents.join(ids, "doc_id", "left_semi").select("doc_id", "path", "position")
    broken = (F.col("chunks") > 0) & (F.col("chunks") == F.col("bad")) & (F.col("chunks") == F.col("chunk_count"))
    by_program = (F.col("reason") == "NO_PROGRAM") & F.coalesce(broken, F.lit(False))
    reason = F.split("reason", ":", 2)
    rows = failed.select("doc_id", "doc_hash", "url", "reason", "source", "crawl")
    rows = rows.join(places, "doc_id").join(_tried(programs, ids), ["doc_id", "doc_hash"], "left")
    rejects = rows.select(
        _identity(settings).alias("reject_id"),
        "doc_id",
        "url",
        F.when(by_program, F.col("bad_status")).otherwise(F.get(reason, F.lit(0))).alias("code"),
        F.when(by_program, F.col("bad_detail")).otherwise(F.get(reason, F.lit(1))).alias("detail"),
        F.when(by_program, F.lit("generate-chunk")).otherwise(F.lit("execute")).alias("stage"),
        "path",
        "position",
        "source",
        "crawl",
        F.coalesce("attempts", F.lit(0)).alias("attempts"),
        F.lit(run_id).alias("run_id"),
        F.current_timestamp().alias("rejected_at"),
    )
    warehouse.append("rejects", rejects.select(*REJECTS.schema.fieldNames()))
    return failed.count()


def _tried(programs: DataFrame, ids: DataFrame) -> DataFrame:
    """Of each document: how often it was asked about, and what its chunks' programs say if they failed."""
    chunk = F.col("stage") == "chunk"
    bad = chunk & (F.col("status") != "OK")
    return (
        programs.join(ids, "doc_id", "left_semi")
        .groupBy("doc_id", "doc_hash")
        .agg(
            F.max(F.coalesce("attempts", F.lit(1))).alias("attempts"),
            F.count_if(chunk).cast("int").alias("chunks"),
            F.max(F.when(chunk, F.col("chunk_count"))).alias("chunk_count"),
            F.count_if(bad).cast("int").alias("bad"),
            F.min_by("status", F.when(bad, F.col("chunk_index"))).alias("bad_status"),
            F.min_by("detail", F.when(bad, F.col("chunk_index"))).alias("bad_detail"),
        )
    )


def _identity(settings: str) -> Column:
    return F.sha2(F.concat_ws("|", F.lit("quarantine"), "doc_id", "doc_hash", F.lit(settings)), 256)
