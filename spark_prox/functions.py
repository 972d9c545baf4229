"""The callables that run on executors, as the run receives them: typed, so that strict mypy sees both sides.

`udfs.FUNCTIONS` is the only instance; the types live here so that `spark_prox` need not import `udfs`. Each callable is
made by a class with keyword arguments, and carries the columns that it gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from spark_prox.config.input import InputSpec
from spark_prox.config.model import ModelSpec
from spark_prox.documents import Level
from spark_prox.programs import Policy
from spark_prox.prompts.builder import PromptSpec
from spark_prox.sources.object_store import ObjectStores

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from spark_prox.annotation.asking import AskSpec

__all__ = ["ArrowFunction", "FileReader", "Functions", "PandasFunction", "TextJudge"]


class PandasFunction(Protocol):
    """For `mapInPandas`."""

    @property
    def columns(self) -> str:
        """Spark DDL of the rows that it gives."""
        ...

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]: ...


class ArrowFunction(Protocol):
    """For `mapInArrow`."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]: ...


class TextJudge(ArrowFunction, Protocol):
    """Says of each document (doc_id, doc_hash, text) what a filter wants to know of its text."""

    @property
    def columns(self) -> str:
        """Spark DDL of the rows that it gives."""
        ...


class FileReader(PandasFunction, Protocol):
    """Reads parts of files on the executors: rows of `spark_prox.sources.readers.SLICE_FIELDS` in."""

    def tables(self, schema: pa.Schema) -> ArrowFunction:
        """The reader of whole Parquet files that Spark's own cannot read; it gives the columns of `schema`."""
        ...


class _ReadArchives(Protocol):
    def __call__(self, *, spec: InputSpec, stores: ObjectStores) -> FileReader: ...


class _GeneratePrograms(Protocol):
    def __call__(
        self, *, stage: Level, model: ModelSpec, prompt: PromptSpec, one_pass: bool = False
    ) -> PandasFunction: ...


class _WritePrograms(Protocol):
    def __call__(self, *, stage: Level, heuristic: str, dialect: str = "prox") -> PandasFunction: ...


class _DecideDocuments(Protocol):
    def __call__(self, *, policy: Policy, dialect: str) -> PandasFunction: ...


class _ExecutePrograms(Protocol):
    def __call__(self, *, policy: Policy, dialect: str, tokenizer: str | None) -> ArrowFunction: ...


class _AnnotateDocuments(Protocol):
    def __call__(self, *, model: ModelSpec, spec: AskSpec) -> PandasFunction: ...


class _JudgeAnswers(Protocol):
    def __call__(self, *, spec: AskSpec) -> PandasFunction: ...


class _JudgeLanguage(Protocol):
    def __call__(self, *, wanted: tuple[str, ...], min_score: float) -> TextJudge: ...


class _JudgeRules(Protocol):
    def __call__(self, *, sets: tuple[str, ...], c4_line_ends: bool) -> TextJudge: ...


class _SignDocuments(Protocol):
    def __call__(self, *, ngram: int, bands: int, rows: int) -> TextJudge: ...


class _KeyLines(Protocol):
    def __call__(self) -> TextJudge: ...


class _JudgeLines(Protocol):
    def __call__(self, *, min_chars: int) -> TextJudge: ...


@dataclass(frozen=True, kw_only=True)
class Functions:
    """Classes of frozen callables.

    Attributes:
        read_archives: over parts of files, `spark_prox.sources.readers.SLICE_FIELDS`.
        generate_programs: over (doc_id, doc_hash, text), at the chunk level also (part, parts), see `Document`.
        write_programs: the same for a heuristic.
        decide_documents: over the document level's (doc_id, doc_hash, bucket, program, status, margin); gives the kept.
        annotate_documents: over (doc_id, doc_hash, text).
        judge_answers: over (doc_id, doc_hash, chunk_index, text, answers).
        execute_programs: over documents with their programs.
        judge_language, judge_rules: over (doc_id, doc_hash, text).
        sign_documents: over (doc_id, doc_hash, text, better).
        key_lines: over (doc_id, doc_hash, text, host); gives a key for each line.
        judge_lines: over (doc_id, doc_hash, keys, repeated); gives verdicts with programs.
    """

    read_archives: _ReadArchives
    generate_programs: _GeneratePrograms
    write_programs: _WritePrograms
    decide_documents: _DecideDocuments
    annotate_documents: _AnnotateDocuments
    judge_answers: _JudgeAnswers
    execute_programs: _ExecutePrograms
    judge_language: _JudgeLanguage
    judge_rules: _JudgeRules
    sign_documents: _SignDocuments
    key_lines: _KeyLines
    judge_lines: _JudgeLines
