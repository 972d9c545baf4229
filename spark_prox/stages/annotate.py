"""Annotate: documents without a label under the current prompts and model get one, in portions, each stored at once.

Labels of people go into the same table. A document counts as done when all of its rows have an answer; where one had
none, the whole document is asked again and its rows are replaced. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.annotation.asking import AskSpec, ask_spec
from spark_prox.annotation.examples import PEOPLE, LabelledExample, PeoplesLabel, example_of
from spark_prox.annotation.questions import AnnotationPrompt
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.config.model import ModelSpec
from spark_prox.config.placement import PlacementConfig
from spark_prox.keys import digest, model_revision
from spark_prox.spark.placement import generation_partitions, generation_profile, generation_workers
from spark_prox.spark.progress import Progress
from spark_prox.stages.generate import PandasFunction
from spark_prox.stages.runlog import RunLog
from spark_prox.warehouse.schemas import ANNOTATIONS, BUCKETS
from spark_prox.warehouse.tables import Warehouse

__all__ = ["Asking", "annotate", "asking", "examples_in", "judge_again", "store_labels"]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked of whom: the spec for the executors, and the columns of each row that name it."""

    spec: AskSpec
    columns: dict[str, str]


def asking(prompt: AnnotationPrompt, model: ModelSpec, config: AnnotateConfig) -> Asking:
    """Render a prompt for a model and name both.

    Raises:
        ModelError, ConfigError: see `ask_spec` and `model_revision`.
    """
    spec = ask_spec(prompt, model.path, config)
    shown = [asdict(question) for question in spec.questions]  # with the model's chat template around them
    return Asking(
        spec=spec,
        columns={
            "stage": spec.stage,
            "model": model.served_name or model.path,
            "model_revision": model_revision(model),
            "prompt": f"{prompt.name}@{prompt.version}",
            "prompt_hash": digest([prompt.fingerprint, shown]),
            "generation_hash": digest([spec.max_prompt_tokens, spec.max_chunk_tokens, spec.max_new_tokens]),
            "engine": model.engine,
        },
    )


def annotate(
    spark: SparkSession,
    warehouse: Warehouse,
    log: RunLog,
    *,
    asked: Asking,
    annotate_documents: PandasFunction,
    columns: str,
    max_documents: int,
    placement: PlacementConfig,
) -> None:
    """Ask for what is missing.

    Args:
        annotate_documents: for `mapInPandas` over (doc_id, doc_hash, text); gives `columns`.
        max_documents: of all documents, those with the smallest hashes of their ids; 0 for all.

    Raises:
        SetupError: see `generation_profile`.
    """
    profile = generation_profile(spark, placement)
    with log.stage(f"annotate-{asked.spec.stage}", digest(asked.columns)) as figures:
        warehouse.ensure("annotations")
        wanted = warehouse.read("documents").select("doc_id", "doc_hash", "url", "source", "bucket")
        if max_documents:
            wanted = wanted.orderBy(F.xxhash64("doc_id"), "doc_id").limit(max_documents)
        done = (
            _under_key(warehouse, asked)
            .groupBy("doc_id", "doc_hash")
            .agg(F.count_if(F.col("status") == "FAILED").alias("failed"))
            .where("failed = 0")
        )
        pending = wanted.join(done, ["doc_id", "doc_hash"], "left_anti").persist()
        try:
            figures.documents = pending.count()
            figures.skipped = wanted.count() - figures.documents
            portions = math.ceil(figures.documents / placement.batch_documents)
            for portion in range(portions):
                first, stop = (BUCKETS * edge // portions for edge in (portion, portion + 1))
                in_range = (F.col("bucket") >= first) & (F.col("bucket") < stop)
                batch = pending.where(in_range).drop("bucket")
                texts = warehouse.read("documents").where(in_range).select("doc_id", "doc_hash", "text")
                size = math.ceil(figures.documents / portions)
                with generation_workers(spark, placement):
                    rows = (
                        texts.join(batch, ["doc_id", "doc_hash"], "left_semi")
                        .repartition(generation_partitions(spark, placement, size))
                        .mapInPandas(annotate_documents, columns, profile=profile)
                    )
                progress = Progress(
                    spark, f"annotate {asked.spec.stage}", step=portion + 1, steps=portions, documents=size
                )
                named = _with_run_columns(rows, asked.columns, log.run_id)
                # Stored before they are merged: MERGE reads its source twice and would ask twice.
                with warehouse.staged(named, "annotations", progress) as stored:
                    full = stored.join(batch, ["doc_id", "doc_hash"])
                    warehouse.upsert("annotations", full.select(*ANNOTATIONS.schema.fieldNames()))
        finally:
            pending.unpersist()
        totals = _under_key(warehouse, asked).where(F.col("run_id") == log.run_id)
        counted = totals.agg(
            F.count("*").alias("rows"), F.sum("prompt_tokens").alias("prompt"), F.sum("output_tokens").alias("output")
        ).first()
        assert counted is not None
        figures.programs, figures.prompt_tokens = counted["rows"], counted["prompt"] or 0
        figures.output_tokens = counted["output"] or 0


def judge_again(
    warehouse: Warehouse, log: RunLog, *, asked: Asking, judge_answers: PandasFunction, columns: str
) -> None:
    """Bring stored answers under today's limits: they are no part of what was asked, so nothing is asked again.

    Args:
        judge_answers: for `mapInPandas` over (doc_id, doc_hash, chunk_index, text, answers); gives `columns`.
    """
    with log.stage(f"judge-{asked.spec.stage}", digest(asdict(asked.spec))) as figures:
        warehouse.ensure("annotations")
        place = ["doc_id", "doc_hash", "chunk_index"]
        stored = _under_key(warehouse, asked).where("status IN ('OK', 'REJECTED')")
        judged = stored.select(*place, "text", "answers").mapInPandas(judge_answers, columns)
        now = [name for name in judged.columns if name not in place]
        before = stored.select(*place, F.struct(*now).alias("before"))
        changed = judged.join(before, place).where(~F.struct(*now).eqNullSafe(F.col("before"))).drop("before").persist()
        try:
            figures.documents = changed.count()
            if figures.documents:
                rest = stored.drop(*now)
                with warehouse.staged(rest.join(changed, place), "annotations") as rows:
                    warehouse.upsert("annotations", rows.select(*ANNOTATIONS.schema.fieldNames()))
        finally:
            changed.unpersist()


def store_labels(
    spark: SparkSession,
    warehouse: Warehouse,
    log: RunLog,
    labels: Iterable[PeoplesLabel],
    *,
    revision: str,
    max_chunk_tokens: int,
) -> None:
    """Bring labels of people into `annotations`; the same files again change nothing.

    Args:
        revision: of the label files, see `labels_revision`.
        max_chunk_tokens: the budget by which the pages were cut.
    """
    with log.stage("annotate-labels", revision) as figures:
        warehouse.ensure("annotations")
        names = {
            "stage": "chunk",
            "model": PEOPLE,
            "model_revision": revision,
            "prompt": "lines@1",
            "prompt_hash": digest("lines@1"),
            "engine": PEOPLE,
        }
        rows = [_label_row(label) for label in labels]
        figures.documents, figures.programs = len({row[0] for row in rows}), len(rows)
        columns = "doc_id string, doc_hash string, url string, source string, chunk_index int, chunk_count int, "
        columns += "first_line int, line_count int, text string, program string, status string, code string"
        frame = spark.createDataFrame(rows, columns).withColumns(
            {
                "detail": F.lit(None).cast("string"),
                "education": F.lit(None).cast("int"),
                "format": F.lit(None).cast("int"),
                "answers": F.expr(
                    "cast(array() as array<struct<question:string,answer:string,finish_reason:string,error:string>>)"
                ),
                "prompt_tokens": F.lit(0).cast("long"),
                "output_tokens": F.lit(0).cast("long"),
                "generation_hash": F.lit(digest(max_chunk_tokens)),
            }
        )
        named = _with_run_columns(frame.dropDuplicates(["doc_id", "doc_hash", "chunk_index"]), names, log.run_id)
        named = named.select(*ANNOTATIONS.schema.fieldNames())
        with warehouse.staged(named, "annotations") as stored:
            warehouse.upsert("annotations", stored)


def examples_in(warehouse: Warehouse) -> Iterator[LabelledExample]:
    """The examples in `annotations`, ordered by document; of what one model said under several keys, the latest."""
    key = "struct(doc_hash, model_revision, prompt_hash, generation_hash)"
    latest = warehouse.read("annotations").withColumn(
        "is_latest", F.expr(f"{key} = max_by({key}, annotated_at) OVER (PARTITION BY doc_id, stage, model)")
    )
    names = ("doc_id", "url", "source", "stage", "chunk_index", "text", "program")
    usable = latest.where("is_latest AND status = 'OK'").orderBy("doc_id", "stage", "chunk_index", "model")
    for row in usable.select(*names).toLocalIterator():
        yield example_of(**row.asDict())


def _under_key(warehouse: Warehouse, asked: Asking) -> DataFrame:
    rows = warehouse.read("annotations")
    for name in ("stage", "model_revision", "prompt_hash", "generation_hash"):
        rows = rows.where(F.col(name) == asked.columns[name])
    return rows


def _with_run_columns(rows: DataFrame, names: dict[str, str], run_id: str) -> DataFrame:
    constants = {name: F.lit(value) for name, value in {**names, "run_id": run_id}.items()}
    return rows.withColumns({**constants, "annotated_at": F.current_timestamp()})


def _label_row(label: PeoplesLabel) -> tuple[object, ...]:
    judgement = label.judgement
    return (
        label.doc_id,
        label.doc_hash,
        label.url,
        label.source,
        label.chunk_index,
        label.chunk_count,
        label.first_line,
        label.line_count,
        label.text,
        judgement.program,
        judgement.status.value,
        judgement.code,
    )
