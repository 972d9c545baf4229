"""Measure a fine-tuned refiner on held-out examples. Its programs are generated and executed as in production.

It uses the transformers engine, the production prompts and the executor with the default policy, and no training
code. Word F1 compares the text left with the text that the examples' own programs leave.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.config.model import ModelSpec
from spark_prox.documents import Document, split_lines
from spark_prox.engines.base import Engine
from spark_prox.evaluation.executed import decide_documents, execute_pages
from spark_prox.evaluation.metrics import Counts, mean, score_documents
from spark_prox.generation import generate_programs
from spark_prox.programs import DropAll, parse_program, policy_for
from spark_prox.training.sft.examples import Example
from spark_prox.training.sft.samples import prompt_builder
from spark_prox.training.sft.settings import SftConfig

__all__ = ["SftFigures", "measure", "some_examples"]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class SftFigures:
    """The figures of one validation. NaN for a level without examples.

    Attributes:
        word_f1: of the words left by chunk programs, mean over texts.
        keep_f1: the same where nothing is removed.
        document_f1: of the documents kept.
        failed: share of programs that are malformed, cut off or absent.
    """

    word_f1: float
    keep_f1: float
    document_f1: float
    failed: float

    @property
    def score(self) -> float:
        """The figure by which checkpoints are chosen: the mean of both levels' F1, or the F1 of the only level."""
        return mean([value for value in (self.word_f1, self.document_f1) if not math.isnan(value)])


def some_examples(examples: Sequence[Example], stage: str, most: int) -> list[Example]:
    """At most so many examples of a level, evenly spaced; all for 0."""
    found = [example for example in examples if example.stage == stage]
    return found[:: -(-len(found) // most)] if most and len(found) > most else found


def measure(folder: str | Path, config: SftConfig, examples: Sequence[Example]) -> SftFigures:
    """Let the model in a folder write programs for examples of both levels, execute them and compare.

    Args:
        folder: a model directory that transformers loads, with its tokenizer.
    """
    from spark_prox.engines.transformers_engine import TransformersEngine

    engine = TransformersEngine(
        ModelSpec(
            path=str(folder),
            engine="transformers",
            dtype="bfloat16" if config.precision == "bf16" else "float32",
            device=config.device,  # type: ignore[arg-type]
            threads=config.threads,
        )
    )
    chunk = some_examples(examples, "chunk", config.evaluate_pages)
    documents = some_examples(examples, "doc", config.evaluate_pages)
    texts, failed = _refined(chunk, engine, config, str(folder)) if chunk else ([], float("nan"))
    wanted = [example.wanted_text for example in chunk]
    return SftFigures(
        word_f1=mean([word_counts(left, gold).f1 for left, gold in zip(texts, wanted, strict=True)]),
        keep_f1=mean([word_counts(example.text, gold).f1 for example, gold in zip(chunk, wanted, strict=True)]),
        document_f1=_document_f1(documents, engine, config, str(folder)) if documents else float("nan"),
        failed=failed,
    )


def word_counts(text: str, gold: str) -> Counts:
    """The bag of a text's words against the bag of the wanted ones, as `metrics.PageWords` counts them."""
    ours, theirs = (Counter(_WORD.findall(value.lower())) for value in (text, gold))
    return Counts((ours & theirs).total(), ours.total(), theirs.total())


def _documents(examples: Sequence[Example]) -> list[Document]:
    return [Document(doc_id=str(number), text=example.text) for number, example in enumerate(examples)]


def _refined(examples: Sequence[Example], engine: Engine, config: SftConfig, model: str) -> tuple[list[str], float]:
    """Refined texts, and the share of programs that failed."""
    builder = prompt_builder(config, "chunk", model)
    rows = list(generate_programs(_documents(examples), engine, builder, stage="chunk"))
    failures = [
        row.program is None or row.finish_reason == "length" or bool(parse_program(row.program).errors) for row in rows
    ]
    pages = execute_pages([split_lines(example.text) for example in examples], rows, policy_for("default"))
    return [page.text for page in pages], mean([float(failure) for failure in failures])


def _document_f1(examples: Sequence[Example], engine: Engine, config: SftConfig, model: str) -> float:
    builder = prompt_builder(config, "doc", model, decide="read")
    rows = generate_programs(_documents(examples), engine, builder, stage="doc")
    kept = decide_documents(len(examples), rows, policy_for("default"))
    wanted = [not any(isinstance(op, DropAll) for op in parse_program(example.program).program) for example in examples]
    return score_documents(wanted, kept).f1
