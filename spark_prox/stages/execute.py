"""Execute: stored programs are applied to their documents; every document gets one row, of `refined` or of `rejects`.

Needs no model and can be run again under another policy: rows whose settings differ are replaced, and documents move
into quarantine and out of it. Works in portions, each watched, so that a run that drifts stops early. Knows the
language only as the callables it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from spark_prox.keys import ProgramKey
from spark_prox.spark.progress import Progress
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.portions import portions
from spark_prox.stages.quarantine import FAILED, QUARANTINED, quarantine, release, settled_rejects
from spark_prox.stages.runlog import StageFigures
from spark_prox.stages.stored import PROGRAM_COLUMNS, used_programs, with_programs
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import BUCKETS, REFINED
from spark_prox.warehouse.tables import Warehouse

__all__ = ["RUN_COLUMNS", "Execute", "settled_documents"]

RUN_COLUMNS = ("policy", "policy_hash", "settings_hash", "run_id", "refined_at")


class Execute(Stage):
    """Documents and their programs become rows of `refined`, or of `rejects`."""

    name = "execute"
    reads = ("documents", "programs", "refined", "rejects")
    writes = ("refined", "rejects")

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """See `Stage`."""
        with run.log.stage(self.name, run.settings) as figures:
            _execute(run, only, figures)

    def retry(self, run: Run, codes: tuple[str, ...]) -> int:
        """See `Stage`: the documents that this run asked about again."""
        mine = (F.col("run_id") == run.log.run_id) & (F.col("attempts") > 1)
        self.run(run, run.warehouse.read("programs").where(mine).select("doc_id").distinct())
        return 0

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """See `Stage`."""
        run, pending = dry.run, dry.documents
        if dry.has("refined") and dry.has("rejects"):
            settled = settled_documents(run.warehouse, dry.documents, run.keys.values(), run.settings)
            pending = pending.join(settled, ["doc_id", "doc_hash"], "left_anti")
        return [PlannedStage(stage=self.name, documents=pending.count())]


def _execute(run: Run, only: DataFrame | None, figures: StageFigures) -> None:
    """Bring `refined` and the quarantine up to date with the documents, the stored programs and the policy."""
    warehouse, keys = run.warehouse, run.keys.values()
    user_columns = warehouse.user_columns("documents")
    warehouse.ensure("programs")
    warehouse.ensure("refined", user_columns)
    warehouse.ensure("rejects")
    documents = warehouse.read("documents")
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")
    settled = settled_documents(warehouse, documents.select("doc_id", "doc_hash"), keys, run.settings)

    def reject(failed: DataFrame) -> None:
        programs = used_programs(warehouse, keys)
        figures.rejects += quarantine(warehouse, failed, programs, settings=run.settings, run_id=run.log.run_id)

    with decided_once(_pending(warehouse, documents, settled)) as pending:
        counts = pending.agg(F.count("*"), F.count_if("stored"), F.count_if("held")).first()
        assert counts is not None
        figures.documents, stored, held = counts
        figures.skipped = documents.count() - figures.documents
        ranges = portions(figures.documents, run.config.placement.batch_documents, run.guard.limits.evidence)
        for portion, (first, stop) in enumerate(ranges):
            in_range = (F.col("bucket") >= first) & (F.col("bucket") < stop)
            wanted = pending.where(in_range)
            rows_of = partial(_executed, run, user_columns, warehouse.read("documents").where(in_range))
            if held:
                release(warehouse, wanted.where("held"))
            store = _replace if stored and not wanted.where("stored").isEmpty() else _add
            size = math.ceil(figures.documents * (stop - first) / BUCKETS)
            with Progress(run.spark, "execute", step=portion + 1, steps=len(ranges), documents=size):
                store(warehouse, wanted, rows_of, reject, lambda rows: run.guard.refined(rows, figures))


def _executed(run: Run, user_columns: list[StructField], texts: DataFrame, wanted: DataFrame) -> DataFrame:
    """Rows of `refined` of the documents of `texts` that are in `wanted`."""
    names = [f"`{field.name}`" for field in user_columns]
    part = texts.join(wanted, ["doc_id", "doc_hash"], "left_semi")
    inputs = with_programs(run.warehouse, part, run.keys).select(
        *("doc_id", "doc_hash", "url", "text", "source", "crawl", *PROGRAM_COLUMNS), *names
    )
    core = [field for field in REFINED.schema.fields if field.name not in RUN_COLUMNS]
    tokenizer = run.tokenizer if run.config.count_tokens else None
    function = run.functions.execute_programs(policy=run.policy, dialect=run.config.dialect, tokenizer=tokenizer)
    constants = (run.policy.name, run.policy.fingerprint(), run.settings, run.log.run_id)
    return (
        inputs.mapInArrow(function, StructType([*core, *user_columns]))
        .withColumns({name: F.lit(value) for name, value in zip(RUN_COLUMNS, constants, strict=False)})
        .withColumn("refined_at", F.current_timestamp())
        .select(*REFINED.schema.fieldNames(), *names)
    )


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


def settled_documents(
    warehouse: Warehouse, documents: DataFrame, keys: Collection[ProgramKey], settings: str
) -> DataFrame:
    """(doc_id, doc_hash) of what was executed under these settings, and since a program was last asked for again."""
    refined = warehouse.read("refined").where((F.col("settings_hash") == settings) & ~F.expr(FAILED))
    settled = refined.select("doc_id", "doc_hash", F.col("refined_at").alias("settled_at")).unionByName(
        settled_rejects(warehouse, documents, settings)
    )
    programs = used_programs(warehouse, keys) if keys else None
    if programs is not None and "attempts" in programs.columns:  # a dry run sees tables before their migration
        again = programs.where("attempts > 1").groupBy("doc_id", "doc_hash")
        last = again.agg(F.max("generated_at").alias("asked_at"))
        settled = settled.join(last, ["doc_id", "doc_hash"], "left").where("asked_at IS NULL OR asked_at < settled_at")
    return settled.select("doc_id", "doc_hash")


def _add(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    reject: Callable[[DataFrame], None],
    watch: Callable[[DataFrame], None],
) -> None:
    """New documents, straight into `refined`, without storing them twice; the few that failed are executed again."""
    before = datetime.now(timezone.utc)
    warehouse.append("refined", rows_of(wanted).where(f"NOT ({FAILED})"))
    stored = warehouse.read("refined").where(F.col("refined_at") >= F.lit(before))
    failed = wanted.join(stored, ["doc_id", "doc_hash"], "left_anti")
    if failed.isEmpty():
        watch(stored)
        return
    # What is found to work now, after an error of the moment, waits for the next run.
    with warehouse.staged(rows_of(failed).where(FAILED), "refined") as rows:
        reject(rows)
        watch(stored.unionByName(rows))


def _replace(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    reject: Callable[[DataFrame], None],
    watch: Callable[[DataFrame], None],
) -> None:
    """Documents of which some have a row already: MERGE would execute them twice, so they are stored first."""
    with warehouse.staged(rows_of(wanted), "refined") as rows:
        watch(rows)
        warehouse.upsert("refined", rows.where(f"NOT ({FAILED})"))
        failed = rows.where(FAILED)
        if not failed.isEmpty():
            reject(failed)
