"""Execute: stored programs are applied to their documents; every document gets one row, of `refined` or of `rejects`.

Needs no model and can be run again under another policy: rows whose settings differ are replaced, and documents move
into quarantine and out of it. Works in portions, each watched, so that a run that drifts stops early. Knows the
language only as the callables it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from functools import partial, reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_prox.keys import StageKey
from spark_prox.spark.progress import Progress
from spark_prox.stages.generate import PandasFunction, with_stage_programs
from spark_prox.stages.own_columns import OwnColumns
from spark_prox.stages.portions import portions
from spark_prox.stages.quarantine import FAILED, QUARANTINED, quarantine, release, settled_rejects
from spark_prox.stages.runlog import RunLog, StageFigures
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import BUCKETS, REFINED
from spark_prox.warehouse.tables import Warehouse

__all__ = ["RUN_COLUMNS", "ArrowFunction", "execute", "kept_documents", "settled_documents"]

ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]

RUN_COLUMNS = ("policy", "policy_hash", "settings_hash", "run_id", "refined_at")


def kept_documents(
    warehouse: Warehouse,
    key: StageKey | None,
    decide: PandasFunction,
    columns: str,
    only: DataFrame | None = None,
) -> DataFrame:
    """(doc_id, doc_hash) of the documents that the document stage keeps; all of them when it is off.

    Args:
        key: the document stage's key; None when the stage is off.
        decide: for `mapInPandas` over (doc_id, doc_hash, program, status, margin); gives the kept documents.
        columns: what `decide` gives: doc_id and doc_hash.
        only: (doc_id) of the documents to look at; None for all.
    """
    documents = warehouse.read("documents").select("doc_id", "doc_hash")
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")
    if key is None:
        return documents
    programs = with_stage_programs(warehouse, key).join(documents, ["doc_id", "doc_hash"], "left_semi")
    return programs.select("doc_id", "doc_hash", "program", "status", "margin").mapInPandas(decide, columns)


def execute(
    spark: SparkSession,
    warehouse: Warehouse,
    log: RunLog,
    *,
    doc_key: StageKey | None,
    chunk_key: StageKey | None,
    execute_programs: ArrowFunction,
    policy_name: str,
    policy_hash: str,
    settings: str,
    batch_documents: int,
    watch: Callable[[DataFrame, StageFigures], None],
    evidence: int,
    only: DataFrame | None = None,
) -> None:
    """Bring `refined` and the quarantine up to date with the documents, the stored programs and the policy.

    Args:
        doc_key, chunk_key: which stored programs to use; None for a stage that is off.
        execute_programs: for `mapInArrow` over documents with their programs; gives the rows of `refined` without the
            run's columns.
        settings: hash of everything that decides a row, stored as `settings_hash`.
        batch_documents: documents executed and stored in one portion.
        watch: called with the rows of each portion, before they are stored where they replace others; raises to stop.
        evidence: documents in the first portion, so that it is watched early.
        only: (doc_id) of the documents to look at; None for all.
    """
    with log.stage("execute", settings) as figures:
        own = OwnColumns(warehouse.user_columns("documents"))
        warehouse.ensure("programs")
        warehouse.ensure("refined", own.fields)
        warehouse.ensure("rejects")
        documents = warehouse.read("documents")
        if only is not None:
            documents = documents.join(only, "doc_id", "left_semi")
        keys = [key for key in (doc_key, chunk_key) if key is not None]
        settled = settled_documents(warehouse, documents.select("doc_id", "doc_hash"), keys, settings)
        core = [field for field in REFINED.schema.fields if field.name not in RUN_COLUMNS]

        def executed(texts: DataFrame, wanted: DataFrame) -> DataFrame:
            passed = ("doc_id", "doc_hash", "url", "text", "source", "crawl")
            part = texts.select(*passed, *own.packed()).join(wanted, ["doc_id", "doc_hash"], "left_semi")
            inputs = with_programs(warehouse, part, doc_key, chunk_key).select(
                *passed, *_PROGRAM_COLUMNS, *own.carried()
            )
            constants = zip(RUN_COLUMNS, (policy_name, policy_hash, settings, log.run_id), strict=False)
            return (
                inputs.mapInArrow(execute_programs, StructType([*core, *own.packed_fields]))
                .withColumns({name: F.lit(value) for name, value in constants})
                .withColumn("refined_at", F.current_timestamp())
                .select(*REFINED.schema.fieldNames(), *own.carried())
            )

        def reject(failed: DataFrame) -> None:
            programs = _used_programs(warehouse, keys)
            figures.rejects += quarantine(warehouse, failed, programs, settings=settings, run_id=log.run_id)

        with decided_once(_pending(warehouse, documents, settled)) as pending:
            counts = pending.agg(F.count("*"), F.count_if("stored"), F.count_if("held")).first()
            assert counts is not None
            figures.documents, stored, held = counts
            figures.skipped = documents.count() - figures.documents
            ranges = portions(figures.documents, batch_documents, evidence)
            for portion, (first, stop) in enumerate(ranges):
                in_range = (F.col("bucket") >= first) & (F.col("bucket") < stop)
                wanted = pending.where(in_range)
                rows_of = partial(executed, warehouse.read("documents").where(in_range))
                if held:
                    release(warehouse, wanted.where("held"))
                store = _replace if stored and not wanted.where("stored").isEmpty() else _add
                size = math.ceil(figures.documents * (stop - first) / BUCKETS)
                with Progress(spark, "execute", step=portion + 1, steps=len(ranges), documents=size):
                    store(warehouse, wanted, rows_of, own, reject, lambda rows: watch(rows, figures))


def _pending(warehouse: Warehouse, documents: DataFrame, settled: DataFrame) -> DataFrame:
    """(doc_id, doc_hash, bucket, stored, held) of the documents to execute.

    `stored` and `held` say whether a document has a row of `refined`, of whatever settings, and whether it is in
    quarantine. Decided once for a run: nobody else writes meanwhile, and a portion changes this for its own alone.
    """
    pending = documents.select("doc_id", "doc_hash", "bucket").join(settled, ["doc_id", "doc_hash"], "left_anti")
    refined = warehouse.read("refined").select("doc_id").distinct().withColumn("stored", F.lit(True))
    rejects = warehouse.read("rejects").where(QUARANTINED).select("doc_id").distinct()
    held = rejects.withColumn("held", F.lit(True))
    return pending.join(refined, "doc_id", "left").join(held, "doc_id", "left")


def settled_documents(warehouse: Warehouse, documents: DataFrame, keys: Sequence[StageKey], settings: str) -> DataFrame:
    """(doc_id, doc_hash) of what was executed under these settings, and since a program was last asked for again."""
    refined = warehouse.read("refined").where((F.col("settings_hash") == settings) & ~F.expr(FAILED))
    settled = refined.select("doc_id", "doc_hash", F.col("refined_at").alias("settled_at")).unionByName(
        settled_rejects(warehouse, documents, settings)
    )
    programs = _used_programs(warehouse, keys) if keys else None
    if programs is not None and "attempts" in programs.columns:  # a dry run sees tables before their migration
        again = programs.where("attempts > 1").groupBy("doc_id", "doc_hash")
        last = again.agg(F.max("generated_at").alias("asked_at"))
        settled = settled.join(last, ["doc_id", "doc_hash"], "left").where("asked_at IS NULL OR asked_at < settled_at")
    return settled.select("doc_id", "doc_hash")


def _add(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    own: OwnColumns,
    reject: Callable[[DataFrame], None],
    watch: Callable[[DataFrame], None],
) -> None:
    """New documents, straight into `refined`, without storing them twice; the few that failed are executed again."""
    before = datetime.now(timezone.utc)
    warehouse.append("refined", _as_stored(rows_of(wanted).where(f"NOT ({FAILED})"), own))
    core = REFINED.schema.fieldNames()
    stored = warehouse.read("refined").where(F.col("refined_at") >= F.lit(before)).select(*core)
    failed = wanted.join(stored, ["doc_id", "doc_hash"], "left_anti")
    if failed.isEmpty():
        watch(stored)
        return
    # What is found to work now, after an error of the moment, waits for the next run.
    with warehouse.staged(rows_of(failed).where(FAILED).select(*core), "refined") as rows:
        reject(rows)
        watch(stored.unionByName(rows))


def _replace(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    own: OwnColumns,
    reject: Callable[[DataFrame], None],
    watch: Callable[[DataFrame], None],
) -> None:
    """Documents of which some have a row already: MERGE would execute them twice, so they are stored first."""
    with warehouse.staged(rows_of(wanted), "refined") as rows:
        watch(rows)
        warehouse.upsert("refined", _as_stored(rows.where(f"NOT ({FAILED})"), own))
        failed = rows.where(FAILED)
        if not failed.isEmpty():
            reject(failed)


def _as_stored(rows: DataFrame, own: OwnColumns) -> DataFrame:
    return rows.select(*REFINED.schema.fieldNames(), *own.unpacked())


def _used_programs(warehouse: Warehouse, keys: Sequence[StageKey]) -> DataFrame:
    """The stored programs of the stages that are on."""
    return reduce(DataFrame.unionByName, (with_stage_programs(warehouse, key) for key in keys))


_PROGRAM_COLUMNS = ("doc_program", "doc_status", "doc_margin", "chunks")


def with_programs(
    warehouse: Warehouse, documents: DataFrame, doc_key: StageKey | None, chunk_key: StageKey | None
) -> DataFrame:
    """Documents with their stored programs: doc_program, doc_status, doc_margin, and `chunks` in order."""
    if doc_key is not None:
        doc_programs = with_stage_programs(warehouse, doc_key).select(
            "doc_id",
            "doc_hash",
            F.col("program").alias("doc_program"),
            F.col("status").alias("doc_status"),
            F.col("margin").alias("doc_margin"),
        )
        documents = documents.join(doc_programs.dropDuplicates(["doc_id", "doc_hash"]), ["doc_id", "doc_hash"], "left")
    else:
        documents = documents.withColumns(
            {
                "doc_program": F.lit("keep_doc()"),
                "doc_status": F.lit("OFF"),
                "doc_margin": F.lit(None).cast("double"),
            }
        )
    chunk = "struct(chunk_index, chunk_count, first_line, line_count, program, status, line_margins)"
    if chunk_key is not None:
        chunks = (
            with_stage_programs(warehouse, chunk_key)
            .dropDuplicates(["doc_id", "doc_hash", "chunk_index"])
            .groupBy("doc_id", "doc_hash")
            .agg(F.array_sort(F.collect_list(F.expr(chunk))).alias("chunks"))
        )
        return documents.join(chunks, ["doc_id", "doc_hash"], "left")
    return documents.withColumn(
        "chunks",
        F.expr(
            "cast(array() as array<struct<chunk_index:int,chunk_count:int,first_line:int,line_count:int,"
            "program:string,status:string,line_margins:array<float>>>)"
        ),
    )
