"""Annotation on an executor: documents in, rows of `annotations` out.

Loads the engine lazily, once per Python worker, as the generate stage does. Knows pandas; the work is in
`spark_prox.annotation`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import pandas as pd

from spark_prox.annotation.annotate import Annotation, Answer, annotate_documents, judge
from spark_prox.annotation.asking import AskSpec
from spark_prox.config.model import ModelSpec
from spark_prox.documents import Document
from spark_prox.engines import worker
from udfs.generate import claim_assigned_gpus

__all__ = ["ANNOTATION_COLUMNS", "JUDGEMENT_COLUMNS", "AnnotateDocuments", "JudgeAnswers"]

_ROWS_PER_BATCH = 256

_JUDGEMENT = "program string, status string, code string, detail string, education int, format int"

ANNOTATION_COLUMNS = (
    "doc_id string, doc_hash string, chunk_index int, chunk_count int, first_line int, line_count int, text string, "
    f"{_JUDGEMENT}, answers array<struct<question:string,answer:string,finish_reason:string,error:string>>, "
    "prompt_tokens long, output_tokens long"
)
"""Spark schema of what `AnnotateDocuments` yields."""

JUDGEMENT_COLUMNS = f"doc_id string, doc_hash string, chunk_index int, {_JUDGEMENT}"
"""Spark schema of what `JudgeAnswers` yields."""


@dataclass(frozen=True, kw_only=True)
class AnnotateDocuments:
    """For `mapInPandas` over (doc_id, doc_hash, text).

    Attributes:
        model: the annotating model's engine.
        spec: what is asked and how it is judged.
    """

    columns: ClassVar[str] = ANNOTATION_COLUMNS
    model: ModelSpec
    spec: AskSpec

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows as in `ANNOTATION_COLUMNS`, in the order in which the engine finishes them."""
        stream = (batch for batch in batches if len(batch))
        first = next(stream, None)
        if first is None:
            return  # an empty partition loads no model
        claim_assigned_gpus()
        documents = (
            Document(doc_id=doc_id, doc_hash=doc_hash, text=text)
            for batch in itertools.chain([first], stream)
            for doc_id, doc_hash, text in zip(batch["doc_id"], batch["doc_hash"], batch["text"], strict=True)
        )
        rows = annotate_documents(documents, worker.engine_for(self.model), self.spec)
        while batch := list(itertools.islice(rows, _ROWS_PER_BATCH)):
            yield _frame(batch)


@dataclass(frozen=True, kw_only=True)
class JudgeAnswers:
    """For `mapInPandas` over (doc_id, doc_hash, chunk_index, text, answers): stored answers under the spec's limits."""

    columns: ClassVar[str] = JUDGEMENT_COLUMNS
    spec: AskSpec

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows as in `JUDGEMENT_COLUMNS`. No model takes part."""
        for batch in batches:
            if not len(batch):
                continue
            rows = []
            for text, stored in zip(batch["text"], batch["answers"], strict=True):
                judgement = judge(self.spec, text, [_answer(answer) for answer in stored])
                rows.append({**asdict(judgement), "status": judgement.status.value})
            judged = _nullable(pd.DataFrame(rows, index=batch.index))
            yield pd.concat([batch[["doc_id", "doc_hash", "chunk_index"]], judged], axis=1)


def _answer(stored: Mapping[str, Any]) -> Answer:
    return Answer(**{name: stored[name] for name in ("question", "answer", "finish_reason", "error")})


def _frame(rows: list[Annotation]) -> pd.DataFrame:
    records = []
    for row in rows:
        record = asdict(row)
        record |= record.pop("judgement")
        record["answers"] = list(record["answers"])  # Arrow takes no tuple for a list
        record["status"] = row.judgement.status.value
        records.append(record)
    return _nullable(pd.DataFrame(records))


def _nullable(frame: pd.DataFrame) -> pd.DataFrame:
    for name in ("education", "format"):
        frame[name] = frame[name].astype("Int32")  # null, not NaN
    return frame
