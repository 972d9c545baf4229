"""The execute stage on an executor: documents with their stored programs in, rows of `refined` out.

No model, no torch. `ExecutePrograms` works on Arrow batches, so that the user's own columns pass through untouched,
whatever their types. Knows Arrow and pandas; the work is in `spark_prox.execution`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from spark_prox.engines.lookahead import LookAhead
from spark_prox.execution import RefinedRow, StoredChunk, decide_stored, execute_stored
from spark_prox.models import load_tokenizer
from spark_prox.programs import Policy
from spark_prox.prompts.counting import count_before_and_after
from spark_prox.rows import Origin, RowField, fields_of
from udfs.stores import adopt_stores

__all__ = ["DECISION_COLUMNS", "DecideDocuments", "ExecutePrograms"]

DECISION_COLUMNS = "doc_id string, doc_hash string, bucket int"
"""Spark schema of what `DecideDocuments` yields."""

_AHEAD_BYTES = 64 << 20
_INPUT_ONLY = ("doc_program", "doc_status", "chunks", "line_program", "text")


@dataclass(frozen=True, kw_only=True)
class DecideDocuments:
    """For `mapInPandas` over (doc_id, doc_hash, bucket, program, status, margin): which documents go on to the chunk
    stage. Outside of Spark the bucket may be missing.
    """

    columns: ClassVar[str] = DECISION_COLUMNS
    policy: Policy
    dialect: str

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Rows as in `DECISION_COLUMNS`."""
        for batch in batches:
            passed = [name for name in ("doc_id", "doc_hash", "bucket") if name in batch]
            keep = [
                decide_stored(program, status, _number(margin), policy=self.policy, dialect=self.dialect).keep
                for program, status, margin in zip(batch["program"], batch["status"], batch["margin"], strict=True)
            ]
            yield batch.loc[keep, passed]


@dataclass(frozen=True, kw_only=True)
class ExecutePrograms:
    """For `mapInArrow` over documents with doc_program, doc_status, doc_margin and chunks, and where filters write any
    with line_program.

    Attributes:
        tokenizer: model directory whose tokenizer counts tokens before and after; None to count none.
    """

    policy: Policy
    dialect: str
    tokenizer: str | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row out for each row in, in the columns of `refined` that belong to no run, then the user's."""
        adopt_stores()
        # The next batch is fetched meanwhile, so that the JVM can write it while this process computes.
        with LookAhead(iter(batches), max_items=2, max_weight=_AHEAD_BYTES, weight=_size) as ahead:
            for batch in ahead:
                yield self._refine(batch)

    def _refine(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        stored: list[str | None] = batch.column("text").to_pylist()
        texts = [text or "" for text in stored]
        rows = [
            execute_stored(
                text,
                doc_program=doc_program,
                doc_status=doc_status,
                doc_margin=doc_margin,
                chunks=chunks,
                policy=self.policy,
                dialect=self.dialect,
                line_program=line_program,
            )
            for text, doc_program, doc_status, doc_margin, chunks, line_program in zip(
                stored,
                batch.column("doc_program").to_pylist(),
                batch.column("doc_status").to_pylist(),
                batch.column("doc_margin").to_pylist(),
                _stored_chunks(batch.column("chunks")),
                _line_programs(batch),
                strict=True,
            )
        ]
        counted = self._count_tokens(texts, rows)
        columns = _columns(batch, rows, counted)
        users = [name for name in batch.schema.names if name not in columns and name not in _INPUT_ONLY]
        columns |= {name: batch.column(name) for name in users}
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _count_tokens(self, texts: list[str], rows: list[RefinedRow]) -> dict[str, Sequence[int | None]]:
        before: Sequence[int | None] = [None] * len(texts)
        after = before
        if self.tokenizer is not None:
            refined = [row.text or "" for row in rows]
            edits = [row.edits for row in rows]
            before, after = count_before_and_after(load_tokenizer(self.tokenizer), texts, refined, edits)
        return {"tokens_before": before, "tokens_after": after}


def _line_programs(batch: pa.RecordBatch) -> list[str | None]:
    """A filter's program for each row; none where no filter writes any."""
    if "line_program" not in batch.schema.names:
        return [None] * batch.num_rows
    return list(batch.column("line_program").to_pylist())


def _stored_chunks(column: pa.ListArray) -> list[list[StoredChunk] | None]:
    """The chunks of each row, column by column: asking Arrow for them row by row makes a dict of each first."""
    values = column.values
    chunks = list(map(StoredChunk, *(values.field(name).to_pylist() for name in StoredChunk._fields)))
    ends = column.offsets.to_pylist()
    return [
        chunks[start:stop] if valid else None
        for valid, (start, stop) in zip(column.is_valid().to_pylist(), itertools.pairwise(ends), strict=True)
    ]


def _columns(
    batch: pa.RecordBatch, rows: list[RefinedRow], counted: Mapping[str, Sequence[int | None]]
) -> dict[str, pa.Array]:
    """The columns that `RefinedRow` declares, but for those of a run."""
    executed = _by_name(RefinedRow._fields, rows)
    columns = {}
    for field in fields_of(RefinedRow):
        if field.origin is Origin.INPUT:
            columns[field.name] = batch.column(field.name)
        elif field.origin is Origin.COUNTED:
            columns[field.name] = _array(field, counted[field.name])
        elif field.origin is Origin.EXECUTED:
            columns[field.name] = _array(field, executed[field.name])
    return columns


def _array(field: RowField, values: Sequence[Any]) -> pa.Array:
    """One column; lists of records are built column by column, without a dict of each."""
    if field.kind is not None:
        return pa.array(values, pa.type_for_alias(field.kind.arrow))
    assert field.records is not None
    inner = fields_of(field.records)
    offsets = pa.array(itertools.accumulate(map(len, values), initial=0), pa.int32())
    records = _by_name([part.name for part in inner], itertools.chain.from_iterable(values))
    arrays = [_array(part, records[part.name]) for part in inner]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, names=[part.name for part in inner]))


def _by_name(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
    """Columns of tuples, in one pass that runs in C."""
    return dict(zip(names, zip(*rows, strict=True), strict=False)) or dict.fromkeys(names, ())


def _size(batch: pa.RecordBatch) -> int:
    return int(batch.nbytes)


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
