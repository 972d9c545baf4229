"""The generate stage on an executor: documents in, rows of `programs` out.

Loads the engine lazily, once per Python worker (see `spark_prox.engines.worker`), and streams documents through it
across Arrow batches. Knows pandas and TaskContext; the work is in `spark_prox.generation`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import pandas as pd
from pyspark import TaskContext

from spark_prox.config.model import ModelSpec
from spark_prox.documents import Document, Level
from spark_prox.engines import worker
from spark_prox.generation import GeneratedProgram, generate_programs
from spark_prox.heuristics.ensemble import Ensemble, open_ensemble
from spark_prox.prompts.builder import PromptSpec, WholePageBuilder, builder_for
from udfs.stores import adopt_stores

__all__ = ["PROGRAM_COLUMNS", "GeneratePrograms", "claim_assigned_gpus"]

_ROWS_PER_BATCH = 512

PROGRAM_COLUMNS = (
    "doc_id string, doc_hash string, chunk_index int, chunk_count int, first_line int, line_count int, "
    "program string, status string, detail string, finish_reason string, margin double, "
    "line_margins array<float>, prompt_tokens long, output_tokens long, engine_id string"
)
"""Spark schema of what `GeneratePrograms` yields."""


@dataclass(frozen=True, kw_only=True)
class GeneratePrograms:
    """For `mapInPandas` over (doc_id, doc_hash, text), and (part, parts) where documents are cut, see `Document`.

    Attributes:
        stage: "doc" or "chunk".
        model: which engine.
        prompt: how its prompts are made.
        one_pass: stage "doc" also gives the program of a document that is one chunk, from the same prompt.
    """

    columns: ClassVar[str] = PROGRAM_COLUMNS
    stage: Level
    model: ModelSpec
    prompt: PromptSpec
    one_pass: bool = False

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows as in `PROGRAM_COLUMNS`, in the order in which the engine finishes them."""
        stream = (batch for batch in batches if len(batch))
        first = next(stream, None)
        if first is None:
            return  # an empty partition loads no model
        claim_assigned_gpus()
        adopt_stores()
        engine = worker.engine_for(self.model)
        engine_id = worker.loaded_engine_id(self.model)

        def documents() -> Iterator[Document]:
            for batch in itertools.chain([first], stream):
                texts = zip(batch["doc_id"], batch["doc_hash"], batch["text"], strict=True)
                parts = zip(batch["part"], batch["parts"], strict=True) if "part" in batch else itertools.repeat((0, 1))
                for (doc_id, doc_hash, text), (part, count) in zip(texts, parts, strict=False):
                    yield Document(doc_id=doc_id, doc_hash=doc_hash, text=text, part=part, parts=count)

        builder = builder_for(self.prompt)
        rows = generate_programs(
            documents(),
            engine,
            builder,
            stage=self.stage,
            answers=self.prompt.template.answers,
            opinion=self._opinion(),
            whole=cast(WholePageBuilder, builder) if self.one_pass else None,
            dialect=self.prompt.template.dialect or self.prompt.dialect,
        )
        while batch := list(itertools.islice(rows, _ROWS_PER_BATCH)):
            yield _frame(batch, engine_id)

    def _opinion(self) -> Ensemble | None:
        if (
            self.stage == "doc" and not self.one_pass
        ) or self.model.is_scripted:  # a script's answers are to be seen as they are
            return None
        return open_ensemble(self.model.path)


def _frame(rows: list[GeneratedProgram], engine_id: str) -> pd.DataFrame:
    frame: pd.DataFrame = pd.DataFrame(
        {
            "doc_id": [row.doc_id for row in rows],
            "doc_hash": [row.doc_hash for row in rows],
            "chunk_index": [row.chunk_index for row in rows],
            "chunk_count": [row.chunk_count for row in rows],
            "first_line": [row.first_line for row in rows],
            "line_count": [row.line_count for row in rows],
            "program": [row.program for row in rows],
            "status": [row.status.value for row in rows],
            "detail": [row.detail for row in rows],
            "finish_reason": [row.finish_reason for row in rows],
            "margin": pd.Series([row.margin for row in rows], dtype="Float64"),
            "line_margins": [None if row.line_margins is None else list(row.line_margins) for row in rows],
            "prompt_tokens": [row.prompt_tokens for row in rows],
            "output_tokens": [row.output_tokens for row in rows],
            "engine_id": engine_id,
        }
    )
    return frame


def claim_assigned_gpus() -> None:
    """Let this process see the GPUs that Spark gave its task, and no others; before torch or vLLM is imported."""
    context = TaskContext.get()
    assigned = context.resources().get("gpu") if context is not None else None
    if assigned is not None:
        worker.claim_gpus(assigned.addresses)
