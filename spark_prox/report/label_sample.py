"""The documents that a person labels: a random sample of what a run decided, and its decision on every line.

Reads `documents` and `refined`. Knows no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import functions as F

from spark_prox.annotation.label_session import SampledDocument
from spark_prox.programs import Edit, Outcome, removed_lines
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import texts_of

__all__ = ["sampled_documents"]


def sampled_documents(warehouse: Warehouse, ids: Sequence[str]) -> list[SampledDocument]:
    """Documents with the decisions of the rows of `refined` that are of their present text, in the order of the ids."""
    texts = texts_of(warehouse, warehouse.read("documents").where(F.col("doc_id").isin(*ids)))
    decided = warehouse.read("refined").where(F.col("doc_id").isin(*ids))
    rows = decided.select("doc_id", "doc_hash", "url", "source", "outcome", "edits")
    found = {row["doc_id"]: row for row in texts.join(rows, ["doc_id", "doc_hash"]).collect()}
    return [
        SampledDocument(
            doc_id=doc_id,
            url=row["url"],
            source=row["source"] or "unknown",
            outcome=row["outcome"],
            text=row["text"],
            removed=_removed(row["text"], row["outcome"], [Edit(**edit.asDict()) for edit in row["edits"] or ()]),
        )
        for doc_id in dict.fromkeys(ids)
        if (row := found.get(doc_id)) is not None
    ]


def _removed(text: str, outcome: str, edits: Sequence[Edit]) -> tuple[bool, ...]:
    """Which lines are gone: all of a document that was dropped. A line that was only changed stays."""
    lines = text.count("\n") + 1
    if outcome == Outcome.DROPPED.value:
        return (True,) * lines
    gone = removed_lines(text, edits)
    return tuple(number in gone for number in range(lines))
