"""Execute: stored programs are applied to their documents; every document gets one row, of `refined` or of `rejects`.

Needs no model and can be run again under another policy: rows whose settings differ are replaced, and documents move
into quarantine and out of it. Works in batches, each watched, so that a run that drifts stops early. Knows the
language only as the callables it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_prox.execution import RefinedRow
from spark_prox.filters import FILTERED
from spark_prox.rows import Origin, fields_of
from spark_prox.spark.counting import count_rows, observed
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.guard import REFINED_COUNTS
from spark_prox.stages.own_columns import OwnColumns
from spark_prox.stages.portions import bucket_between, portions, programs_between
from spark_prox.stages.quarantine import FAILED, held_documents, quarantine, rejected_at, release
from spark_prox.stages.stored import PROGRAM_COLUMNS, used_programs, with_programs
from spark_prox.stages.verdicts import dropped_documents, line_programs, with_verdicts
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import BUCKETS, REFINED
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import has_texts_outside, with_texts

__all__ = ["RUN_COLUMNS", "Execute"]

RUN_COLUMNS = tuple(field.name for field in fields_of(RefinedRow) if field.origin is Origin.RUN)
"""The columns of `refined` that are the same for all rows of a run."""
_ID = ("doc_id", "doc_hash")
_DECIDED = ("drop_reason", "line_program")


class Execute(Stage):
    """Documents and their programs become rows of `refined`, or of `rejects`."""

    name = "execute"
    reads = ("documents", "verdicts", "programs", "refined", "rejects")
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
        pending = dry.documents
        tables = ("refined", "rejects", "programs", *(("verdicts",) if dry.run.filters else ()))
        if all(map(dry.has, tables)):
            pending = _work(dry.run, pending.withColumn("bucket", F.lit(0))).where("settled IS NULL")
        return [PlannedStage(stage=self.name, documents=pending.count())]


def _execute(run: Run, only: DataFrame | None, figures: StageFigures) -> None:
    """Bring `refined` and the quarantine up to date with the documents, the stored programs and the policy."""
    warehouse, keys = run.warehouse, run.keys.values()
    own = OwnColumns(warehouse.user_columns("documents"))
    warehouse.expect("programs")
    warehouse.expect("refined", own.fields)
    warehouse.expect("rejects")
    if run.filters:
        warehouse.expect("verdicts")
    documents = warehouse.read("documents")
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")

    def watch(counts: Mapping[str, int]) -> None:
        figures.add_texts(counts)
        run.guard.refined(counts, figures)

    with decided_once(_work(run, documents)) as work:
        counts = count_rows(work, _WORK_COUNTS)
        figures.planned, figures.skipped = counts["pending"], counts["settled"]
        pending = work.where("settled IS NULL")
        ranges = portions(figures.planned, run.portion_documents, run.guard.limits.evidence)
        for portion, (first, stop) in enumerate(ranges):
            in_range = bucket_between(first, stop)
            wanted, texts = pending.where(in_range), warehouse.read("documents").where(in_range)
            programs = used_programs(warehouse, keys).where(_programs_of(warehouse, texts, wanted, (first, stop)))
            rows_of = partial(_executed, run, own, texts, programs)
            reject = partial(_reject, run, figures, texts, programs)
            if counts["held"]:
                release(warehouse, wanted.where("held"))
            store = _replace if counts["stored"] and not wanted.where("stored").isEmpty() else _add
            size = math.ceil(figures.planned * (stop - first) / BUCKETS)
            with run.log.portion(number=portion + 1, count=len(ranges), documents=size):
                store(warehouse, wanted, rows_of, own, reject, watch)
            run.log.grown()
        figures.documents = figures.planned


def _programs_of(warehouse: Warehouse, texts: DataFrame, wanted: DataFrame, buckets: tuple[int, int]) -> Column:
    """True for stored programs that may be of the documents of a portion, by what leaves files of `programs` out.

    Args:
        buckets: the range that the documents are of.
    """
    if not has_texts_outside(warehouse, texts):
        return programs_between(*buckets)
    ends = wanted.agg(F.min("doc_id").alias("first"), F.max("doc_id").alias("last")).first()
    assert ends is not None
    return F.coalesce(F.col("doc_id").between(F.lit(ends["first"]), F.lit(ends["last"])), F.lit(False))


def _reject(
    run: Run, figures: StageFigures, documents: DataFrame, programs: DataFrame, failed: DataFrame, *, stored: bool
) -> None:
    figures.rejects += quarantine(
        *(run.warehouse, failed, documents, programs), stored=stored, settings=run.settings, run_id=run.log.run_id
    )


def _executed(run: Run, own: OwnColumns, texts: DataFrame, programs: DataFrame, wanted: DataFrame) -> DataFrame:
    """Rows of `refined` of the documents of `texts` that are in `wanted`, the user's columns packed.

    Args:
        programs: stored ones that count, of these documents at least.
    """
    passed = ("doc_id", "doc_hash", "url", "text", "source", "crawl")
    part = texts.select(*passed, "text_place", *own.packed()).join(wanted, ["doc_id", "doc_hash"], "left_semi")
    part = with_texts(run.warehouse, part)
    programs = with_programs(part, programs, run.keys)
    decided = None
    if run.filters:
        decided = wanted.where("drop_reason IS NOT NULL OR line_program IS NOT NULL").select(*_ID, *_DECIDED)
    programs = with_verdicts(run.warehouse, programs, run.filters, decided)
    inputs = programs.select(*passed, *PROGRAM_COLUMNS, "line_program", *own.carried())
    core = [field for field in REFINED.schema.fields if field.name not in RUN_COLUMNS]
    tokenizer = run.tokenizer if run.config.count_tokens else None
    function = run.functions.execute_programs(policy=run.policy, dialect=run.config.dialect, tokenizer=tokenizer)
    constants = {
        "policy": F.lit(run.policy.name),
        "policy_hash": F.lit(run.policy.fingerprint()),
        "settings_hash": F.lit(run.settings),
        "run_id": F.lit(run.log.run_id),
        "refined_at": F.current_timestamp(),
    }
    return (
        inputs.mapInArrow(function, StructType([*core, *own.packed_fields]))
        .withColumns({name: constants[name] for name in RUN_COLUMNS})
        .select(*REFINED.schema.fieldNames(), *own.carried())
    )


_WORK_COUNTS = {
    "pending": "count_if(settled IS NULL)",
    "settled": "count_if(settled)",
    "stored": "count_if(settled IS NULL AND stored)",
    "held": "count_if(settled IS NULL AND held)",
}


def _work(run: Run, documents: DataFrame) -> DataFrame:
    """(doc_id, doc_hash, bucket, settled, stored, held) of documents, and what is true of each, else null.

    `settled`: it was executed under the run's settings, since a program was last asked for again, and with the verdict
    and the program that filters have for it now. `stored` and `held`: it has a row of `refined`, of any settings; it is
    in quarantine. With filters also `drop_reason` and `line_program`, see `spark_prox.stages.verdicts`: `verdicts`
    has no buckets, so a portion would read all of it. Decided once for a run: nobody else writes meanwhile, and a
    portion changes this for its own alone.
    """
    warehouse = run.warehouse
    refined = warehouse.read("refined").select(
        "doc_id",
        F.lit(True).alias("stored"),
        F.col("doc_hash").alias("stored_hash"),
        F.when((F.col("settings_hash") == run.settings) & ~F.expr(FAILED), F.col("refined_at")).alias("refined_at"),
        *([F.when(F.col("doc_reason") == FILTERED, F.col("reason")).alias("dropped_as")] if run.filters else []),
    )
    work = documents.select("doc_id", "doc_hash", "bucket").join(refined.dropDuplicates(["doc_id"]), "doc_id", "left")
    work = work.join(held_documents(warehouse), "doc_id", "left")
    settled_at = F.coalesce(
        F.when(F.col("stored_hash") == F.col("doc_hash"), F.col("refined_at")), rejected_at(run.settings)
    )
    work = work.withColumn("settled_at", settled_at)
    if run.keys:
        again = used_programs(warehouse, run.keys.values()).where("attempts > 1").groupBy("doc_id", "doc_hash")
        last = again.agg(F.max("generated_at").alias("asked_at"))
        work = work.join(last, ["doc_id", "doc_hash"], "left")
        settled = "settled_at IS NOT NULL AND (asked_at IS NULL OR asked_at < settled_at)"
    else:
        settled = "settled_at IS NOT NULL"
    columns = ["doc_id", "doc_hash", "bucket", "settled", "stored", "held"]
    if run.filters:
        work = work.join(dropped_documents(warehouse, run.filters), ["doc_id", "doc_hash"], "left")
        settled += " AND (dropped_as <=> drop_reason)"
        lines = line_programs(warehouse, run.filters).withColumnRenamed("decided_at", "lines_at")
        work = work.join(lines, [*_ID], "left")
        settled += " AND (drop_reason IS NOT NULL OR lines_at IS NULL OR lines_at < settled_at)"
        columns += _DECIDED
    work = work.withColumn("settled", F.expr(f"CASE WHEN {settled} THEN true END"))
    if run.filters:
        work = work.withColumn("line_program", F.expr("CASE WHEN settled IS NULL THEN line_program END"))
    return work.select(*columns)


def _add(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    own: OwnColumns,
    reject: Callable[..., None],
    watch: Callable[[Mapping[str, int]], None],
) -> None:
    """New documents, straight into `refined`, without storing them twice; the few that failed are executed again."""
    before = datetime.now(timezone.utc)
    rows, counted = observed(rows_of(wanted), REFINED_COUNTS)
    warehouse.append("refined", _as_stored(rows.where(f"NOT ({FAILED})"), own))
    if counted.get["quarantined"]:
        stored = warehouse.read("refined").where(F.col("refined_at") >= F.lit(before)).select("doc_id", "doc_hash")
        failed = wanted.join(stored, ["doc_id", "doc_hash"], "left_anti")
        # A document that works now, after an error of the moment, waits for the next run.
        core = REFINED.schema.fieldNames()
        with warehouse.staged(rows_of(failed).where(FAILED).select(*core), "refined") as again:
            reject(again, stored=False)
    watch(counted.get)


def _replace(
    warehouse: Warehouse,
    wanted: DataFrame,
    rows_of: Callable[[DataFrame], DataFrame],
    own: OwnColumns,
    reject: Callable[..., None],
    watch: Callable[[Mapping[str, int]], None],
) -> None:
    """Documents of which some have a row already: MERGE would execute them twice, so they are stored first."""
    executed, counted = observed(rows_of(wanted), REFINED_COUNTS)
    with warehouse.staged(executed, "refined") as rows:
        watch(counted.get)
        warehouse.upsert("refined", _as_stored(rows.where(f"NOT ({FAILED})"), own))
        if counted.get["quarantined"]:
            reject(rows.where(FAILED), stored=True)


def _as_stored(rows: DataFrame, own: OwnColumns) -> DataFrame:
    return rows.select(*REFINED.schema.fieldNames(), *own.unpacked())
