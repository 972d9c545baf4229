"""Generate: documents without a program for the current settings get one, in portions, each stored before it is used.

A portion is one Delta commit: what a killed run can lose at most. Model output is never shuffled before it is stored,
because a retry would compute it again, and differently. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config import PlacementConfig
from spark_prox.models import matrix_parameters
from spark_prox.placement import generation_workers
from spark_prox.progress import Progress
from spark_prox.schemas import BUCKETS, PROGRAMS
from spark_prox.stages.keys import StageKey
from spark_prox.stages.runlog import RunLog, StageFigures
from spark_prox.tables import Warehouse

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

__all__ = ["PandasFunction", "generate", "with_stage_programs"]

PandasFunction = Callable[[Iterable[pd.DataFrame]], Iterable[pd.DataFrame]]


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
    key: StageKey,
    generate_programs: PandasFunction,
    columns: str,
    candidates: DataFrame,
    placement: PlacementConfig,
    partitions: Callable[[int], int],
    profile: ResourceProfile | None,
    engine: str,
    settings: str,
) -> None:
    """Generate what is missing.

    Args:
        key: stage, model and template; the stored programs of another key do not count.
        generate_programs: for `mapInPandas` over (doc_id, doc_hash, text); gives `columns`.
        candidates: (doc_id, doc_hash) of the documents that should have a program.
        partitions: number of tasks for a number of documents.
        profile: resources of one task, or None.
        engine: name stored with each row.
    """
    with log.stage(f"generate-{key.stage}", settings) as figures:
        warehouse.ensure("programs")
        done = with_stage_programs(warehouse, key).select("doc_id", "doc_hash").distinct()
        pending = candidates.join(done, ["doc_id", "doc_hash"], "left_anti").persist()
        try:
            figures.documents = pending.count()
            figures.skipped = candidates.count() - figures.documents
            portions = math.ceil(figures.documents / placement.batch_documents)
            for portion in range(portions):
                # A range of buckets: Delta's statistics leave out the files that hold none of them.
                first, stop = (BUCKETS * edge // portions for edge in (portion, portion + 1))
                stored = warehouse.read("documents").where((F.col("bucket") >= first) & (F.col("bucket") < stop))
                documents = stored.select("doc_id", "doc_hash", "text").join(
                    pending, ["doc_id", "doc_hash"], "left_semi"
                )
                size = math.ceil(figures.documents / portions)
                with generation_workers(spark, placement):
                    rows = documents.repartition(partitions(size)).mapInPandas(
                        generate_programs, columns, profile=profile
                    )
                with Progress(spark, f"generate {key.stage}", step=portion + 1, steps=portions, documents=size):
                    warehouse.append("programs", _with_run_columns(rows, key, engine, log.run_id))
        finally:
            pending.unpersist()
        _count(warehouse, key, log.run_id, figures)


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
    }
    for name, value in constants.items():
        rows = rows.withColumn(name, F.lit(value))
    return rows.withColumn("generated_at", F.current_timestamp()).select(*PROGRAMS.schema.fieldNames())


def _count(warehouse: Warehouse, key: StageKey, run_id: str, figures: StageFigures) -> None:
    totals = (
        with_stage_programs(warehouse, key)
        .where(F.col("run_id") == run_id)
        .agg(
            F.count("*").alias("programs"),
            F.coalesce(F.sum("prompt_tokens"), F.lit(0)).alias("prompt"),
            F.coalesce(F.sum("output_tokens"), F.lit(0)).alias("output"),
        )
        .first()
    )
    assert totals is not None
    figures.programs, figures.prompt_tokens, figures.output_tokens = (
        totals["programs"],
        totals["prompt"],
        totals["output"],
    )
    parameters = matrix_parameters(key.model)
    if parameters is not None and not key.model_revision.startswith("scripted-"):
        figures.flop = 2.0 * parameters * (figures.prompt_tokens + figures.output_tokens)
