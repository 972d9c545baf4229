"""Figures of a warehouse's tables for the report: aggregated by Spark, a bounded number of rows for each.

Knows tables; shows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_prox.report.page.model import (
    EditKind,
    Flow,
    GroupRow,
    Histogram,
    OutcomeRow,
    RejectRow,
    RemovedLine,
    RunRow,
    TableRow,
)
from spark_prox.stages.quarantine import QUARANTINED
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import char_count

__all__ = [
    "HOST",
    "edit_kinds",
    "flow_of",
    "group_rows",
    "length_histogram",
    "outcome_rows",
    "reject_rows",
    "removed_share_histogram",
    "run_rows",
    "table_rows",
    "top_removed_lines",
]

HOST = "lower(regexp_extract(url, '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/:?#]+)', 1))"
"""SQL of a document's host; "" without one."""

_GROUPS = 40
_RUNS = 200
_TOP_LINES = 100
_LINE_CHARS = 300
_SHARE_BINS = 20
_LENGTH_BINS = 20
_SUMS = [f"{unit}_{when}" for unit in ("lines", "words", "chars", "tokens") for when in ("before", "after")]


def outcome_rows(refined: DataFrame) -> list[OutcomeRow]:
    """Documents and their sizes by outcome and reason."""
    level = F.expr("outcome = 'DROPPED' AND doc_reason IN ('DROP_CALL', 'FILTERED')").alias("at_document_level")
    rows = (
        refined.groupBy("outcome", "reason", level)
        .agg(F.count("*").alias("documents"), *(F.sum(name).alias(name) for name in _SUMS))
        .orderBy("outcome", "reason", "at_document_level")
        .collect()
    )
    return [OutcomeRow(**row.asDict()) for row in rows]


def flow_of(warehouse: Warehouse, name: str, refined: DataFrame) -> Flow:
    """The flow through both levels, with the documents in quarantine."""
    count = chars = 0
    if warehouse.exists("rejects") and warehouse.exists("documents"):
        held = warehouse.read("rejects").where(QUARANTINED).select("doc_id").distinct()
        sizes = warehouse.read("documents").select("doc_id", char_count().alias("chars"))
        found = sizes.join(held, "doc_id", "left_semi").agg(F.count("*"), F.sum("chars")).first()
        count, chars = (found[0], found[1] or 0) if found is not None else (0, 0)
    return Flow(name=name, outcomes=outcome_rows(refined), quarantined=count, quarantined_chars=chars)


def reject_rows(warehouse: Warehouse) -> list[RejectRow]:
    """Rows of `rejects` by stage and code."""
    if not warehouse.exists("rejects"):
        return []
    rows = warehouse.read("rejects").groupBy("stage", "code").agg(F.count("*").alias("records"))
    return [RejectRow(**row.asDict()) for row in rows.orderBy("stage", "code").limit(200).collect()]


def removed_share_histogram(refined: DataFrame) -> Histogram:
    """Documents that are not dropped by the share of their characters that went."""
    share = 1 - F.col("chars_after") / F.greatest(F.col("chars_before"), F.lit(1))
    place = F.least(F.greatest(F.floor(share * _SHARE_BINS), F.lit(0)), F.lit(_SHARE_BINS - 1))
    counts = _counts(refined.where("outcome <> 'DROPPED'"), place, _SHARE_BINS)
    return Histogram(edges=[step / _SHARE_BINS for step in range(_SHARE_BINS + 1)], documents=counts)


def length_histogram(refined: DataFrame) -> Histogram:
    """Documents by their words before and after, in bins that double; dropped ones are in `documents` alone."""

    def place(column: str) -> Column:
        return F.least(F.floor(F.log2(F.col(column) + F.lit(1))), F.lit(_LENGTH_BINS - 1))

    before = _counts(refined, place("words_before"), _LENGTH_BINS)
    after = _counts(refined.where("outcome <> 'DROPPED'"), place("words_after"), _LENGTH_BINS)
    used = max((number + 1 for number in range(_LENGTH_BINS) if before[number] or after[number]), default=1)
    edges = [float(2**step - 1) for step in range(used + 1)]
    return Histogram(edges=edges, documents=before[:used], after=after[:used])


def edit_kinds(refined: DataFrame) -> list[EditKind]:
    """Edits by kind."""
    edits = refined.where("outcome = 'EDITED'").select("doc_id", F.explode("edits").alias("edit"))
    rows = (
        edits.groupBy(F.col("edit.kind").alias("kind"))
        .agg(
            F.count("*").alias("edits"),
            F.approx_count_distinct("doc_id").alias("documents"),
            F.sum(F.length("edit.removed")).alias("chars_removed"),
            F.sum(F.length("edit.inserted")).alias("chars_inserted"),
        )
        .orderBy(F.desc("edits"))
        .collect()
    )
    return [EditKind(**row.asDict()) for row in rows]


def top_removed_lines(refined: DataFrame) -> list[RemovedLine]:
    """The lines that were removed most often; of each line the first 300 characters count."""
    edits = refined.where("outcome = 'EDITED'").select("doc_id", F.explode("edits").alias("edit"))
    lines = edits.where("edit.kind = 'remove_lines'").select(
        "doc_id", F.explode(F.split("edit.removed", "\n")).alias("line")
    )
    text = F.trim(F.substring(F.col("line"), 1, _LINE_CHARS))
    rows = (
        lines.select("doc_id", text.alias("text"))
        .where("text <> ''")
        .groupBy("text")
        .agg(F.count("*").alias("times"), F.approx_count_distinct("doc_id").alias("documents"))
        .orderBy(F.desc("times"), "text")
        .limit(_TOP_LINES)
        .collect()
    )
    return [RemovedLine(**row.asDict()) for row in rows]


def group_rows(refined: DataFrame, value: Column) -> list[GroupRow]:
    """Documents by a value, the most frequent ones first."""
    kept = F.col("outcome") != "DROPPED"
    rows = (
        refined.groupBy(F.substring(F.coalesce(value.cast("string"), F.lit("")), 1, 200).alias("value"))
        .agg(
            F.count("*").alias("documents"),
            F.count_if(~kept).alias("dropped"),
            F.sum("words_before").alias("words_before"),
            F.sum("words_after").alias("words_after"),
            F.coalesce(F.sum(F.when(kept, F.col("words_before"))), F.lit(0)).alias("kept_words_before"),
        )
        .orderBy(F.desc("documents"), "value")
        .limit(_GROUPS)
        .collect()
    )
    return [GroupRow(**row.asDict()) for row in rows]


def run_rows(warehouse: Warehouse) -> list[RunRow]:
    """The last stages of the last runs, the oldest first."""
    if not warehouse.exists("runs"):
        return []
    rows = warehouse.read("runs").orderBy(F.desc("started_at"), "stage").limit(_RUNS).collect()
    return [_run(row) for row in reversed(rows)]


def _run(row: Row) -> RunRow:
    return RunRow(
        run_id=row["run_id"],
        stage=row["stage"],
        status=row["status"],
        error=row["error"] or "",
        started_at=row["started_at"],
        seconds=row["seconds"] or 0.0,
        documents=row["documents"] or 0,
        prompt_tokens=row["prompt_tokens"] or 0,
        output_tokens=row["output_tokens"] or 0,
        flop=row["flop"],
        settings=row["settings_hash"] or "",
        guard=dict(row["guard"] or {}),
    )


def table_rows(spark: SparkSession, warehouse: Warehouse) -> list[TableRow]:
    """Version, rows and size of every table that is there."""
    found = []
    for name in TABLES:
        if warehouse.exists(name):
            history = spark.sql(f"DESCRIBE HISTORY {warehouse.name(name)} LIMIT 1").first()
            detail = spark.sql(f"DESCRIBE DETAIL {warehouse.name(name)}").first()
            found.append(
                TableRow(
                    name=name,
                    where=warehouse.where(name),
                    version=history["version"] if history is not None else None,
                    changed_at=history["timestamp"] if history is not None else None,
                    rows=warehouse.read(name).count(),
                    files=detail["numFiles"] if detail is not None else None,
                    size_bytes=detail["sizeInBytes"] if detail is not None else None,
                )
            )
    return found


def _counts(rows: DataFrame, place: Column, bins: int) -> Sequence[int]:
    counts = [0] * bins
    for row in rows.groupBy(place.cast("int").alias("place")).count().where("place IS NOT NULL").collect():
        counts[row["place"]] = row["count"]
    return counts
