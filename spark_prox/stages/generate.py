"""Generate: documents without a program for the current settings get one, in portions, each stored before it is used.

A portion is one Delta commit: what a killed run can lose at most. Model output is never shuffled before it is stored,
because a retry would compute it again, and differently. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.placement import PlacementConfig
from spark_prox.keys import StageKey
from spark_prox.models import matrix_parameters
from spark_prox.spark.placement import generation_workers
from spark_prox.spark.progress import Progress
from spark_prox.stages.portions import portions
from spark_prox.stages.runlog import RunLog, StageFigures
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import BUCKETS, PROGRAMS
from spark_prox.warehouse.tables import Warehouse

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

__all__ = ["Generator", "PandasFunction", "count_programs", "generate", "with_stage_programs"]

PandasFunction = Callable[[Iterable[pd.DataFrame]], Iterable[pd.DataFrame]]


@dataclass(frozen=True, kw_only=True)
class Generator:
    """How the programs of a stage are made.

    Attributes:
        key: stage, model and template; the stored programs of another key do not count.
        generate_programs: for `mapInPandas` over (doc_id, doc_hash, text); gives `columns`.
        partitions: number of tasks for a number of documents.
        profile: resources of one task, or None.
        engine: name stored with each row.
    """

    key: StageKey
    generate_programs: PandasFunction
    columns: str
    placement: PlacementConfig
    partitions: Callable[[int], int]
    profile: ResourceProfile | None
    engine: str

    def portions(self, documents: int, evidence: int) -> list[tuple[int, int]]:
        """Ranges of buckets for a number of documents, see `spark_prox.stages.portions`."""
        return portions(documents, self.placement.batch_documents, evidence)

    def rows(
        self, warehouse: Warehouse, wanted: DataFrame, buckets: tuple[int, int], documents: int, run_id: str
    ) -> DataFrame:
        """Rows of `programs`, asked for once, of the documents of a range of buckets that are in `wanted`.

        Args:
            wanted: (doc_id, doc_hash), at least.
            documents: about how many there are.
        """
        first, stop = buckets
        # A range of buckets: Delta's statistics leave out the files that hold none of them.
        stored = warehouse.read("documents").where((F.col("bucket") >= first) & (F.col("bucket") < stop))
        texts = stored.select("doc_id", "doc_hash", "text").join(wanted, ["doc_id", "doc_hash"], "left_semi")
        with generation_workers(texts.sparkSession, self.placement):
            rows = texts.repartition(self.partitions(documents)).mapInPandas(
                self.generate_programs, self.columns, profile=self.profile
            )
        return _with_run_columns(rows, self.key, self.engine, run_id)


def with_stage_programs(warehouse: Warehouse, key: StageKey) -> DataFrame:
    """The stored programs of one stage under one key."""
    return warehouse.read("programs").where(
        (F.col("stage") == key.stage)
        & (F.col("model_revision") == key.model_revision)
        & (F.col("template_hash") == key.template_hash)
        & (F.col("generation_hash") == key.generation_hash)
    )


def generate(
    spark: SparkSession,
    warehouse: Warehouse,
    log: RunLog,
    *,
    generator: Generator,
    candidates: DataFrame,
    settings: str,
    watch: Callable[[datetime, StageFigures], None],
    evidence: int,
) -> None:
    """Generate what is missing.

    Args:
        candidates: (doc_id, doc_hash) of the documents that should have a program.
        watch: called after each portion, with the time before it; raises to stop the run.
        evidence: documents in the first portion, so that it is watched early.
    """
    key = generator.key
    with log.stage(f"generate-{key.stage}", settings) as figures:
        started = datetime.now(timezone.utc)
        warehouse.ensure("programs")
        done = with_stage_programs(warehouse, key).select("doc_id", "doc_hash").distinct()
        known = candidates.join(done.withColumn("done", F.lit(True)), ["doc_id", "doc_hash"], "left")
        with decided_once(known) as work:
            counts = work.agg(F.count_if(F.col("done").isNull()), F.count_if("done")).first()
            assert counts is not None
            figures.documents, figures.skipped = counts
            pending = work.where("done IS NULL")
            ranges = generator.portions(figures.documents, evidence)
            for portion, (first, stop) in enumerate(ranges):
                size = math.ceil(figures.documents * (stop - first) / BUCKETS)
                before = datetime.now(timezone.utc)
                rows = generator.rows(warehouse, pending, (first, stop), size, log.run_id)
                with Progress(spark, f"generate {key.stage}", step=portion + 1, steps=len(ranges), documents=size):
                    warehouse.append("programs", rows)
                watch(before, figures)
        count_programs(warehouse, key, log.run_id, started, figures)


def _with_run_columns(rows: DataFrame, key: StageKey, engine: str, run_id: str) -> DataFrame:
    constants = {
        "stage": key.stage,
        "model": key.model,
        "model_revision": key.model_revision,
        "template": key.template,
        "template_hash": key.template_hash,
        "generation_hash": key.generation_hash,
        "engine": engine,
        "run_id": run_id,
        "attempts": 1,
    }
    for name, value in constants.items():
        rows = rows.withColumn(name, F.lit(value))
    return rows.withColumn("generated_at", F.current_timestamp()).select(*PROGRAMS.schema.fieldNames())


def count_programs(warehouse: Warehouse, key: StageKey, run_id: str, since: datetime, figures: StageFigures) -> None:
    """Fill in what a run stored in a stage since a time: it may go through the stage more than once."""
    if figures.documents:
        mine = (F.col("run_id") == run_id) & (F.col("generated_at") >= F.lit(since))
        tokens = (F.coalesce(F.sum(f"{kind}_tokens"), F.lit(0)) for kind in ("prompt", "output"))
        totals = with_stage_programs(warehouse, key).where(mine).agg(F.count("*"), *tokens).first()
        assert totals is not None
        figures.programs, figures.prompt_tokens, figures.output_tokens = totals
    # What is no language model has no size; its revision says so.
    modelled = not key.model_revision.startswith(("scripted-", "author-"))
    parameters = matrix_parameters(key.model) if modelled else None
    if parameters is not None:
        figures.flop = 2.0 * parameters * (figures.prompt_tokens + figures.output_tokens)
