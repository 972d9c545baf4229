"""Read a model's verdicts on whole documents, through the prompt, engine and generate code of production.

Gives margins, log p(keep) - log p(remove), and leaves thresholds to the caller. Knows no labels and no Spark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spark_prox.config.model import ModelSpec
from spark_prox.documents import Document, join_lines
from spark_prox.engines.base import Engine
from spark_prox.engines.encoder_engine import EncoderEngine
from spark_prox.engines.transformers_engine import TransformersEngine
from spark_prox.generation import generate_programs
from spark_prox.heuristics.ensemble import Ensemble, open_ensemble
from spark_prox.models import is_line_encoder
from spark_prox.prompts.builder import PromptBuilder, PromptSpec, builder_for
from spark_prox.prompts.templates import template_for

__all__ = ["Reader", "open_reader"]


def _documents(documents: Sequence[Sequence[str]]) -> Iterable[Document]:
    return (Document(doc_id=str(number), text=join_lines(list(lines))) for number, lines in enumerate(documents))


@dataclass(frozen=True)
class Reader:
    """A loaded refiner that reads both levels.

    Attributes:
        engine: runs the prompts.
        builder: makes the prompts of both levels.
        opinion: the line classifier that belongs to the model, if it has one.
    """

    engine: Engine
    builder: PromptBuilder
    opinion: Ensemble | None = None

    def line_margins(self, documents: Sequence[Sequence[str]]) -> list[list[float]]:
        """A margin for each line of each document; +inf (keep) where there is no answer."""
        margins = [[math.inf] * len(lines) for lines in documents]
        for row in generate_programs(
            _documents(documents), self.engine, self.builder, stage="chunk", opinion=self.opinion
        ):
            if row.line_margins is not None:
                margins[int(row.doc_id)][row.first_line : row.first_line + row.line_count] = row.line_margins
        return margins

    def document_margins(self, documents: Sequence[Sequence[str]]) -> list[float]:
        """The document level's margin of each document; +inf (keep) where there is no answer."""
        margins = [math.inf] * len(documents)
        for row in generate_programs(_documents(documents), self.engine, self.builder, stage="doc"):
            if row.margin is not None:
                margins[int(row.doc_id)] = row.margin
        return margins


def open_reader(
    model: str | Path, *, dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto", threads: int = 1
) -> Reader:
    """Load a line encoder or a small causal model of this project from a folder, or "embedded" for what ships.

    Raises:
        ModelError: the folder is missing or is no such model.
    """
    spec = ModelSpec(path=str(model), engine="transformers", dtype=dtype, threads=threads)
    builder = builder_for(
        PromptSpec(
            template=template_for("page-chunk" if is_line_encoder(spec.path) else "embedded-chunk", "chunk", spec.path),
            model_path=spec.path,
            max_prompt_tokens=2048,
            max_chunk_tokens=1500,
            max_new_tokens=0,
        )
    )
    engine: Engine = EncoderEngine(spec) if is_line_encoder(spec.path) else TransformersEngine(spec)
    return Reader(engine, builder, open_ensemble(spec.path))
