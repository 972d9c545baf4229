"""Filters on an executor: documents in, what a filter says of each text out.

Knows Arrow; the work is in `spark_prox.heuristics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa

from spark_prox.heuristics.minhash import MinHash
from spark_prox.heuristics.repeated_lines import judge_lines, line_keys
from spark_prox.heuristics.text_verdicts import TextVerdict, judge_language, judge_rules, judged

__all__ = ["JudgeLanguage", "JudgeLines", "JudgeRules", "KeyLines", "SignDocuments"]

_COLUMNS = "doc_id string, doc_hash string, verdict string, reason string, detail string, language string, score double"


@dataclass(frozen=True, kw_only=True)
class JudgeRules:
    """For `mapInArrow` over (doc_id, doc_hash, text): verdicts by published rules.

    Attributes:
        sets: keys of `RULE_SETS`.
        c4_line_ends: see `c4_rules`.
    """

    columns: ClassVar[str] = _COLUMNS
    sets: tuple[str, ...]
    c4_line_ends: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each document."""
        yield from map(_judge(partial(judge_rules, sets=self.sets, c4_line_ends=self.c4_line_ends)), batches)


@dataclass(frozen=True, kw_only=True)
class JudgeLanguage:
    """For `mapInArrow` over (doc_id, doc_hash, text): verdicts by language.

    Attributes:
        wanted: ISO codes; empty for all.
        min_score: smallest probability.
    """

    columns: ClassVar[str] = _COLUMNS
    wanted: tuple[str, ...]
    min_score: float

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each document."""
        yield from map(_judge(partial(judge_language, wanted=self.wanted, min_score=self.min_score)), batches)


def _judge(judge: Callable[[str], TextVerdict]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def rows(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [judged(judge, text) for text in batch.column("text").to_pylist()]
        columns = {name: pa.array([getattr(row, name) for row in found], pa.string()) for name in ("reason", "detail")}
        return pa.RecordBatch.from_pydict(
            {
                "doc_id": batch.column("doc_id"),
                "doc_hash": batch.column("doc_hash"),
                "verdict": pa.array(["keep" if row.reason is None else "drop" for row in found], pa.string()),
                **columns,
                "language": pa.array([row.language for row in found], pa.string()),
                "score": pa.array([row.score for row in found], pa.float64()),
            }
        )

    return rows


@dataclass(frozen=True, kw_only=True)
class SignDocuments:
    """For `mapInArrow` over (doc_id, doc_hash, text, better): MinHash band keys, see `MinHash`."""

    columns: ClassVar[str] = "doc_id string, doc_hash string, better long, keys array<binary>"
    ngram: int
    bands: int
    rows: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each document; `keys` is null for a text that is too short to compare."""
        signature = MinHash(ngram=self.ngram, bands=self.bands, rows=self.rows)
        for batch in batches:
            keys = pa.array([signature.keys(text) for text in batch.column("text").to_pylist()], pa.list_(pa.binary()))
            passed = {name: batch.column(name) for name in ("doc_id", "doc_hash", "better")}
            yield pa.RecordBatch.from_pydict(passed | {"keys": keys})


@dataclass(frozen=True, kw_only=True)
class KeyLines:
    """For `mapInArrow` over (doc_id, doc_hash, text, host): a key for each line, see `line_keys`."""

    columns: ClassVar[str] = "doc_id string, doc_hash string, host string, keys array<binary>"

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each document."""
        for batch in batches:
            keys = pa.array([line_keys(text) for text in batch.column("text").to_pylist()], pa.list_(pa.binary()))
            passed = {name: batch.column(name) for name in ("doc_id", "doc_hash", "host")}
            yield pa.RecordBatch.from_pydict(passed | {"keys": keys})


@dataclass(frozen=True, kw_only=True)
class JudgeLines:
    """For `mapInArrow` over (doc_id, doc_hash, keys, repeated): verdicts on pages, see `judge_lines`.

    Attributes:
        min_chars: letters and digits that have to stay.
    """

    columns: ClassVar[str] = (
        "doc_id string, doc_hash string, keys array<binary>, verdict string, reason string, detail string, "
        "program string"
    )
    min_chars: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row for each document; `repeated` is null where no line repeats."""
        for batch in batches:
            rows = zip(batch.column("keys").to_pylist(), batch.column("repeated").to_pylist(), strict=True)
            found = [judge_lines(keys or (), repeated or (), min_chars=self.min_chars) for keys, repeated in rows]
            passed = {name: batch.column(name) for name in ("doc_id", "doc_hash", "keys")}
            verdict = pa.array(["keep" if row.reason is None else "drop" for row in found], pa.string())
            said = {
                name: pa.array([getattr(row, name) for row in found], pa.string())
                for name in ("reason", "detail", "program")
            }
            yield pa.RecordBatch.from_pydict({**passed, "verdict": verdict, **said})
