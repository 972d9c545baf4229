"""Labels of people go into `annotations` beside those of models, as rows of an annotator called people."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import functions as F

from spark_prox.annotation.examples import PEOPLE, PeoplesLabel
from spark_prox.keys import digest
from spark_prox.stages.annotate import with_run_columns
from spark_prox.stages.base import Run
from spark_prox.warehouse.schemas import ANNOTATIONS

__all__ = ["store_labels"]


def store_labels(run: Run, labels: Iterable[PeoplesLabel], *, revision: str) -> None:
    """Bring labels of people into `annotations`; the same files again change nothing.

    Args:
        labels: of pages that were cut by the budget `annotate.max_chunk_tokens`.
        revision: of the label files, see `labels_revision`.
    """
    spark, warehouse = run.spark, run.warehouse
    with run.log.stage("annotate-labels", revision) as figures:
        warehouse.expect("annotations")
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
                "generation_hash": F.lit(digest(run.config.annotate.max_chunk_tokens)),
            }
        )
        named = with_run_columns(frame.dropDuplicates(["doc_id", "doc_hash", "chunk_index"]), names, run.log.run_id)
        named = named.select(*ANNOTATIONS.schema.fieldNames())
        with warehouse.staged(named, "annotations") as stored:
            warehouse.upsert("annotations", stored)


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
