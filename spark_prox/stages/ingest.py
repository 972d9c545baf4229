"""Ingest: rows of any source become `documents` and `rejects`.

The rows are stored once beside the tables and split from there, so that an archive is parsed once. Documents that are
there already with the same text are left alone; those whose text changed are replaced; those that a change data feed
says are gone are removed. Knows nothing of formats.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_prox.config.input import InputSpec
from spark_prox.errors import RejectCode
from spark_prox.jobkit import require_input
from spark_prox.keys import digest
from spark_prox.sources.formats import FORMATS
from spark_prox.sources.frames import read_input
from spark_prox.sources.frames.delta_stream import DELETED
from spark_prox.sources.frames.files import InputFile
from spark_prox.sources.frames.raw import table_snapshot
from spark_prox.sources.frames.text_places import text_place
from spark_prox.sources.snapshot import InputSnapshot, snapshot_of_files
from spark_prox.spark.counting import count_rows, observed
from spark_prox.spark.hadoop_settings import object_stores
from spark_prox.spark.progress import announce
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.own_columns import OwnColumns
from spark_prox.stages.portions import bucket_of
from spark_prox.stages.removal import remove_documents
from spark_prox.stages.uncopied import check_ids, elsewhere, in_id_order, without_texts
from spark_prox.warehouse.schemas import DOCUMENTS, REJECTS, TEXT_PLACE
from spark_prox.warehouse.source_tables import TextPlace
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import leave_texts_outside

__all__ = ["Ingest", "input_spec", "input_with_snapshot"]

_INPUT_COLUMNS = (
    "doc_id",
    "url",
    "text",
    "source",
    "crawl",
    "path",
    "position",
    "html_extract",
    "reject_code",
    "reject_detail",
)
_COUNTS = {
    "good": "count_if(reject_code IS NULL)",
    "bad": f"count_if(reject_code <> '{DELETED}')",
    "repeated": f"count_if(reject_code = '{RejectCode.DUPLICATE_ID.value}')",
}
_ONE_FILE = 1_000
# A text that was made otherwise says so, also where it came out the same. Older rows do not say how they were made.
_CHANGED = "known_hash <> doc_hash OR coalesce(known_extract, 'all') <> coalesce(html_extract, 'all')"
_UNREADABLE = (RejectCode.ARCHIVE_UNREADABLE.value, RejectCode.FILE_UNREADABLE.value)


class Ingest(Stage):
    """An input becomes `documents` and `rejects`."""

    name = "ingest"
    reads = ("documents", "rejects")  # what is known already
    writes = ("documents", "rejects")
    needs = ("input",)

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """See `Stage`: the whole input, whatever `only` says."""
        rows, snapshot = input_with_snapshot(run)
        self.store(run, rows, snapshot=snapshot)

    def store(
        self, run: Run, rows: DataFrame, *, snapshot: InputSnapshot, micro_batch: str = "", is_feed: bool = False
    ) -> None:
        """Store rows of the configured input, see `_store`.

        Args:
            snapshot: what the input was when it was read.
        """
        spec = input_spec(run)
        place = None if spec.copy_text else text_place(run.spark, spec, snapshot.version)
        with run.log.stage(self.name, digest([str(spec)])) as figures:
            figures.input = snapshot.as_json()
            _store(run, rows, figures, place, micro_batch=micro_batch, is_feed=is_feed)

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """See `Stage`: documents by whether they are known, and what the source has no more."""
        if dry.arriving is None:
            return []
        bad = dry.arriving.where("reject_code IS NOT NULL").count()
        counts = {row["state"]: row["count"] for row in dry.arrived.groupBy("state").count().collect()}
        new, changed, same = (counts.get(state, 0) for state in ("new", "changed", "same"))
        note = f"{new:,} new, {changed:,} changed, {same:,} known; {bad:,} would be rejects"
        plan = [PlannedStage(stage=self.name, documents=new + changed, note=note)]
        if dry.gone is not None:
            plan.append(PlannedStage(stage="remove", documents=dry.gone.count(), note="the source has them no more"))
        return plan


def input_spec(run: Run) -> InputSpec:
    """The configured input.

    Raises:
        ConfigError: CONFIG_MISSING_KEY.
    """
    spec = require_input(run.config).input
    assert spec is not None
    return spec


def input_with_snapshot(run: Run) -> tuple[DataFrame, InputSnapshot]:
    """All rows of the configured input, and what it was when they were read. Errors as in `read_input`."""
    spec, files = input_spec(run), list[InputFile]()
    table = table_snapshot(run.spark, spec) if FORMATS[spec.format].is_table else None
    if table is not None and not spec.copy_text:
        spec = replace(spec, version=text_place(run.spark, spec, table.version).version)  # the one that documents name
    reader = run.functions.read_archives(spec=spec, stores=object_stores(run.spark))
    rows = read_input(run.spark, spec, archive_reader=reader, listed=files.extend)
    named = ((file.path, file.size, file.modified) for file in files)
    return rows, table or snapshot_of_files(spec.path, named)


def _store(
    run: Run, rows: DataFrame, figures: StageFigures, place: TextPlace | None, *, micro_batch: str, is_feed: bool
) -> None:
    """Store the rows of `spark_prox.sources.frames`.

    Args:
        place: where the texts stay; None if they are copied.
        micro_batch: tells the micro-batch of a stream from others; "" for a batch run. A part of the ids of rejects,
            because the rows of a stream have no place that would tell them apart.
        is_feed: the rows are the last change of each id, so what they say replaces what was known of it.

    Raises:
        TableError: TABLE_SCHEMA when the user's columns do not fit the existing tables; nothing is written then.
    """
    warehouse = run.warehouse
    known_columns = warehouse.user_columns("documents") if warehouse.exists("documents") else None
    rows, own = OwnColumns.pack_input(rows, _INPUT_COLUMNS, known_columns)
    warehouse.expect("documents", own.fields)
    warehouse.expect("rejects")
    rows, counted = observed(rows if place is None else without_texts(rows, place), _COUNTS)
    with warehouse.staged(rows, "ingest", run.log.portion("read and parse")) as found:
        stored = _hashed(found) if place is None else found
        if place is not None:
            check_ids(warehouse, stored, place, repeated=counted.get["repeated"], is_part=bool(micro_batch))
            leave_texts_outside(run.spark, warehouse, own.fields)
        good = stored.where("reject_code IS NULL")
        documents = good.select(
            *("doc_id", "doc_hash"),
            *("url", "text", "source", "crawl", "path", "position"),
            bucket_of("doc_id").alias("bucket"),
            F.lit(run.log.run_id).alias("ingested_by"),
            F.current_timestamp().alias("ingested_at"),
            *("html_extract", "text_place"),
            *own.carried(),
        )

        def as_stored(packed: DataFrame) -> DataFrame:
            return packed.select(*DOCUMENTS.schema.fieldNames(), *own.unpacked())

        bad = stored.where(F.col("reject_code") != DELETED)
        rejects = _rejects(bad, run.log.run_id, micro_batch)
        if is_feed:
            _replace_known(run, stored, rejects)
        known = warehouse.read("documents").select(
            *("doc_id", F.col("doc_hash").alias("known_hash"), F.col("html_extract").alias("known_extract")),
            F.col("text_place").alias("known_place"),
        )
        is_changed = F.expr(_CHANGED) | elsewhere(place)
        # Decided before the append: afterwards the new documents would look known.
        same, changed = (
            _known(stored, known, is_changed) if counted.get["good"] and warehouse.exists("documents") else (0, 0)
        )
        figures.skipped = same
        figures.planned = counted.get["good"] - same
        figures.rejects = counted.get["bad"]
        if figures.planned:
            with run.log.portion("store", documents=figures.planned):
                if changed:
                    differs = F.col("known_hash").isNull() | is_changed
                    changed_or_new = documents.join(known, "doc_id", "left").where(differs)
                    with _once(warehouse, changed_or_new, figures.planned, place) as once:
                        warehouse.upsert("documents", as_stored(once))
                else:
                    fresh = documents.join(known, "doc_id", "left_anti")
                    fresh = fresh if place is None else in_id_order(fresh, figures.planned, place)
                    warehouse.append("documents", as_stored(_by_bucket(fresh, figures.planned)), looked=True)
            figures.documents = figures.planned
        if warehouse.exists("rejects"):
            _forget_repaired(warehouse, stored, rejects)
        if figures.rejects:
            known_rejects = warehouse.read("rejects").select("reject_id")
            warehouse.append("rejects", rejects.join(known_rejects, "reject_id", "left_anti"))
    run.spark.catalog.clearCache()  # what the reader kept on disk to read its input once


def _once(
    warehouse: Warehouse, documents: DataFrame, count: int, place: TextPlace | None
) -> AbstractContextManager[DataFrame]:
    """Documents for a MERGE, which evaluates its source twice: buckets in the order of ids are dealt out once."""
    if place is None:
        return nullcontext(documents)
    return warehouse.staged(in_id_order(documents, count, place), "documents")


def _hashed(stored: DataFrame) -> DataFrame:
    """Rows whose texts are copied, as those of `without_texts`."""
    return stored.withColumns({"doc_hash": F.sha2("text", 256), "text_place": F.lit(None).cast(TEXT_PLACE)})


def _known(stored: DataFrame, known: DataFrame, is_changed: Column) -> tuple[int, int]:
    """How many of the good rows are known: as they are, and with another text, extraction or place."""
    named = stored.where("reject_code IS NULL").select("doc_id", "doc_hash", "html_extract")
    compared = named.join(known, "doc_id").select(is_changed.alias("is_changed"))
    counts = count_rows(compared, {"same": "count_if(NOT is_changed)", "changed": "count_if(is_changed)"})
    return counts["same"], counts["changed"]


def _by_bucket(documents: DataFrame, count: int) -> DataFrame:
    """In files that hold ranges of buckets; a few documents are one file, without a job to find the ranges."""
    if count <= _ONE_FILE:
        return documents.coalesce(1)
    return documents.repartitionByRange("bucket")  # no number: adaptive execution chooses files of a sensible size


def _forget_repaired(warehouse: Warehouse, stored: DataFrame, rejects: DataFrame) -> None:
    """Remove what was said of a file that could not be read, where this run has read it and does not say so again."""
    unreadable = warehouse.read("rejects").where(F.col("code").isin(*_UNREADABLE) & (F.col("stage") == "ingest"))
    if unreadable.isEmpty():
        return
    read = unreadable.join(stored.select("path"), "path", "left_semi")
    old = read.select("reject_id").join(rejects.select("reject_id"), "reject_id", "left_anti")
    if not old.isEmpty():
        warehouse.delete("rejects", old, ["reject_id"])


def _replace_known(run: Run, stored: DataFrame, rejects: DataFrame) -> None:
    """Remove the documents that are gone or can no longer be read, and the rejects of ids that say something new."""
    warehouse, named = run.warehouse, stored.where("doc_id IS NOT NULL")
    alive = named.where("reject_code IS NULL").select("doc_id")
    gone = named.where("reject_code IS NOT NULL").select("doc_id").distinct().join(alive, "doc_id", "left_anti")
    if removed := remove_documents(run, gone):
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
