"""Annotate: documents without a label under the current prompts and model get one, in batches, each stored at once.

A document counts as done when all of its rows have an answer; where one had
none, the whole document is asked again and its rows are replaced. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.annotation.asking import AskSpec, ask_spec
from spark_prox.annotation.examples import LabelledExample, example_of
from spark_prox.annotation.questions import AnnotationPrompt, load_prompt
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig
from spark_prox.documents import Level
from spark_prox.keys import digest
from spark_prox.model_names import shown_name
from spark_prox.model_pinning import model_revision, pinned_spec
from spark_prox.spark.placement import generation_partitions, generation_workers
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.portions import bucket_between, portions
from spark_prox.warehouse.schemas import ANNOTATIONS, BUCKETS
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import texts_of

__all__ = ["Annotate", "Asking", "annotate", "asking", "examples_in", "judge_again", "with_run_columns"]

_BATCH = 50_000
"""Documents of a batch, unless it is configured."""


@dataclass(frozen=True)
class Annotate(Stage):
    """A large model labels documents, or the lines of their chunks."""

    level: Level
    reads = ("documents", "annotations")
    writes = ("annotations",)
    needs = ("engine",)

    @property
    def name(self) -> str:  # type: ignore[override]
        """See `Stage`."""
        return f"annotate-{self.level}"

    def check(self, config: RunConfig) -> None:
        """See `Stage`: the prompt and the model."""
        self._asking(config)

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """See `Stage`: all documents, whatever `only` says."""
        asked = self._asking(run.config)
        judge_again(run, asked)
        annotate(run, asked)

    def _asking(self, config: RunConfig) -> Asking:
        file = config.annotate.doc_prompt if self.level == "doc" else config.annotate.chunk_prompt
        return asking(load_prompt(file, self.level), config.model, config.annotate)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The questions and the annotator: the spec for the executors, and the columns of each row that name it."""

    spec: AskSpec
    columns: dict[str, str]


def asking(prompt: AnnotationPrompt, model: ModelSpec, config: AnnotateConfig) -> Asking:
    """Render a prompt for a model and name both.

    Raises:
        ModelError, ConfigError: see `ask_spec` and `model_revision`.
    """
    model = pinned_spec(model)
    spec = ask_spec(prompt, model.path, config)
    shown = [asdict(question) for question in spec.questions]  # with the model's chat template around them
    return Asking(
        spec=spec,
        columns={
            "stage": spec.stage,
            "model": model.served_name or shown_name(model.path),
            "model_revision": model_revision(model),
            "prompt": f"{prompt.name}@{prompt.version}",
            "prompt_hash": digest([prompt.fingerprint, shown]),
            "generation_hash": digest([spec.max_prompt_tokens, spec.max_chunk_tokens, spec.max_new_tokens]),
            "engine": model.engine,
        },
    )


def annotate(run: Run, asked: Asking) -> None:
    """Ask for what is missing; `annotate.max_documents` takes those with the smallest hashes of ids."""
    spark, warehouse, placement = run.spark, run.warehouse, run.config.placement
    max_documents = run.config.annotate.max_documents
    function = run.functions.annotate_documents(model=pinned_spec(run.config.model), spec=asked.spec)
    with run.log.stage(f"annotate-{asked.spec.stage}", digest(asked.columns)) as figures:
        warehouse.expect("annotations")
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
            figures.planned = pending.count()
            figures.skipped = wanted.count() - figures.planned
            ranges = portions(figures.planned, placement.batch_documents or _BATCH, 0)
            for portion, (first, stop) in enumerate(ranges):
                in_range = bucket_between(first, stop)
                batch = pending.where(in_range).drop("bucket")
                documents = warehouse.read("documents").where(in_range)
                texts = texts_of(warehouse, documents.join(batch, ["doc_id", "doc_hash"], "left_semi"))
                size = math.ceil(figures.planned / len(ranges))
                with generation_workers(spark, placement):
                    rows = texts.repartition(generation_partitions(spark, placement, size)).mapInPandas(
                        function, function.columns, profile=run.profile
                    )
                asking = run.log.portion(number=portion + 1, count=len(ranges), documents=size, reads_documents=True)
                named = with_run_columns(rows, asked.columns, run.log.run_id)
                # Stored before they are merged: MERGE reads its source twice and would ask twice.
                with warehouse.staged(named, "annotations", asking) as stored:
                    full = stored.join(batch, ["doc_id", "doc_hash"])
                    warehouse.upsert("annotations", full.select(*ANNOTATIONS.schema.fieldNames()))
                figures.documents = figures.planned * stop // BUCKETS
                run.log.grown()
        finally:
            pending.unpersist()
        totals = _under_key(warehouse, asked).where(F.col("run_id") == run.log.run_id)
        counted = totals.agg(
            F.count("*").alias("rows"), F.sum("prompt_tokens").alias("prompt"), F.sum("output_tokens").alias("output")
        ).first()
        assert counted is not None
        figures.programs, figures.prompt_tokens = counted["rows"], counted["prompt"] or 0
        figures.output_tokens = counted["output"] or 0


def judge_again(run: Run, asked: Asking) -> None:
    """Bring stored answers under today's limits: they are no part of what was asked, so nothing is asked again."""
    warehouse, function = run.warehouse, run.functions.judge_answers(spec=asked.spec)
    with run.log.stage(f"judge-{asked.spec.stage}", digest(asdict(asked.spec))) as figures:
        warehouse.expect("annotations")
        place = ["doc_id", "doc_hash", "chunk_index"]
        stored = _under_key(warehouse, asked).where("status IN ('OK', 'REJECTED')")
        judged = stored.select(*place, "text", "answers").mapInPandas(function, function.columns)
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


def with_run_columns(rows: DataFrame, names: dict[str, str], run_id: str) -> DataFrame:
    """Rows of `annotations` with what is the same for all of a run."""
    constants = {name: F.lit(value) for name, value in {**names, "run_id": run_id}.items()}
    return rows.withColumns({**constants, "annotated_at": F.current_timestamp()})
