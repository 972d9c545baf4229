"""Labels of lines, by people or by a large model, beside documents: from files, or from the table `annotations`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_prox.annotation.examples import PEOPLE
from spark_prox.documents import document_hash, join_lines
from spark_prox.programs import policy_for, refine_text
from spark_prox.report.decisions import removed_lines
from spark_prox.warehouse.tables import Warehouse

__all__ = ["LineLabels", "annotated_lines", "labels_of_pages"]

_NO_LIMITS = policy_for("permissive")


@dataclass(frozen=True, kw_only=True)
class LineLabels:
    """The lines of one document that a person or a large model would remove, among those that were labelled."""

    removed: frozenset[int]
    labelled: frozenset[int]


def labels_of_pages(pages: Iterable[tuple[Sequence[str], Sequence[float]]]) -> dict[str, LineLabels]:
    """Labels by document hash, of pages as (lines, probability that each is content)."""
    return {
        document_hash(join_lines(list(lines))): LineLabels(
            removed=frozenset(number for number, value in enumerate(keep) if value < 0.5),
            labelled=frozenset(range(len(keep))),
        )
        for lines, keep in pages
    }


def annotated_lines(warehouse: Warehouse, hashes: Sequence[str], dialect: str) -> tuple[dict[str, LineLabels], str]:
    """Labels out of `annotations`, by document hash: of people where there are some, else of the latest model."""
    rows = (
        warehouse.read("annotations")
        .where((F.col("status") == "OK") & (F.col("stage") == "chunk") & F.col("doc_hash").isin(list(hashes)))
        .withColumn("rank", F.when(F.col("model") == PEOPLE, F.lit(0)).otherwise(F.lit(1)))
        .orderBy("rank", F.desc("annotated_at"), "doc_hash", "chunk_index")
        .select("doc_hash", "model", "model_revision", "prompt_hash", "first_line", "line_count", "text", "program")
        .collect()
    )
    chosen: dict[str, tuple[str, ...]] = {}
    labels: dict[str, LineLabels] = {}
    for row in rows:
        author = (row["model"], row["model_revision"], row["prompt_hash"])
        if chosen.setdefault(row["doc_hash"], author) == author:
            labels[row["doc_hash"]] = _with_chunk(labels.get(row["doc_hash"]), row, dialect)
    return labels, ", ".join(sorted({author[0] for author in chosen.values()}))


def _with_chunk(labels: LineLabels | None, row: Row, dialect: str) -> LineLabels:
    first, text = row["first_line"], row["text"]
    result = refine_text(text, row["program"], dialect=dialect, policy=_NO_LIMITS)
    lines = range(first, first + row["line_count"])
    removed = {*lines} if result.text is None else {first + line for line in removed_lines(text, result.edits)}
    before = labels or LineLabels(removed=frozenset(), labelled=frozenset())
    return LineLabels(removed=before.removed | removed, labelled=before.labelled | {*lines})
