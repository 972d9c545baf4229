"""Both levels and the execute stage in one pass on an executor: documents in, refined documents out, nothing stored.

For the facade `spark_prox.refine`, which has no table to keep programs in. Composes the callables of the stages, so
that a document comes out as it would from a job. Knows Arrow and pandas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pandas as pd
import pyarrow as pa

from spark_prox.documents import LEVELS, Level
from spark_prox.errors import RejectCode
from spark_prox.execution import RefinedRow, StoredChunk
from spark_prox.functions import ArrowFunction, PandasFunction
from spark_prox.rows import Origin, fields_of

__all__ = ["RefineRows"]

_MAX_ROWS = 512
_MAX_TEXT_CHARS = 20_000_000  # as input.max_text_chars
_PROGRAM = {
    "stage": ("string", pa.string()),
    "chunk_index": ("int", pa.int32()),
    "first_line": ("int", pa.int32()),
    "line_count": ("int", pa.int32()),
    "program": ("string", pa.string()),
    "status": ("string", pa.string()),
    "detail": ("string", pa.string()),
    "margin": ("double", pa.float64()),
    "line_margins": ("array<float>", pa.list_(pa.float32())),
    "prompt_tokens": ("long", pa.int64()),
    "output_tokens": ("long", pa.int64()),
    "model_revision": ("string", pa.string()),
}
"""What is said of one program: columns of the table `programs`, with their types in Spark and in Arrow."""
_CHUNK = {
    "chunk_index": pa.int32(),
    "chunk_count": pa.int32(),
    "first_line": pa.int32(),
    "line_count": pa.int32(),
    "program": pa.string(),
    "status": pa.string(),
    "line_margins": pa.list_(pa.float32()),
}
_DOC_INPUT = {"doc_program": pa.string(), "doc_status": pa.string(), "doc_margin": pa.float64()}


def _declared() -> Iterator[str]:
    """Spark DDL of the columns of `RefineRows`: those of `RefinedRow` that belong to no run, and two of its own."""
    for field in fields_of(RefinedRow):
        if field.origin in (Origin.EXECUTED, Origin.COUNTED) or field.name == "doc_margin":
            yield f"{field.name} {field.ddl}"
        if field.name == "reason":
            yield "detail string"
        if field.name == "edits":
            yield f"programs array<struct<{','.join(f'{name}:{kind}' for name, (kind, _) in _PROGRAM.items())}>>"


class _Failure(NamedTuple):
    """Why a document has outcome FAILED."""

    code: str
    detail: str | None


@dataclass(frozen=True, kw_only=True)
class RefineRows:
    """For `mapInArrow` over (id, text) and any further columns, which pass through untouched.

    Attributes:
        programs: what writes the programs of each level that is on.
        revisions: of the writers, by level.
        decide: which documents go on to the chunk level.
        execute: applies the programs.
        needs_id: a document without an id is FAILED.
    """

    columns: ClassVar[str] = ", ".join(_declared())
    programs: Mapping[Level, PandasFunction]
    revisions: Mapping[Level, str]
    decide: PandasFunction
    execute: ArrowFunction
    needs_id: bool = True

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row out for each row in, in the same order: `columns`, then the further columns."""
        for batch in batches:
            for start in range(0, batch.num_rows, _MAX_ROWS):
                yield self._refine(batch.slice(start, _MAX_ROWS))

    def _refine(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts: list[str | None] = batch.column("text").to_pylist()
        ids: list[str | None] = batch.column("id").to_pylist()
        failures = {
            row: failure
            for row, (id_, text) in enumerate(zip(ids, texts, strict=True))
            if (failure := self._unusable(id_, text))
        }
        good = [row for row in range(len(texts)) if row not in failures]
        documents = pd.DataFrame(
            {"doc_id": [str(row) for row in good], "doc_hash": None, "text": [texts[row] for row in good]}
        )
        written = self._write(documents)
        executed = self._execute(texts, written, failures)
        failures |= _failed_programs(executed, written)
        columns = {name: executed.column(name) for name in executed.schema.names}
        columns["text"] = _replaced(columns["text"], {row: None for row, text in enumerate(texts) if text is None})
        columns["reason"] = _replaced(columns["reason"], {row: failure.code for row, failure in failures.items()})
        columns["detail"] = pa.array([failures[row].detail if row in failures else None for row in range(len(texts))])
        columns["detail"] = columns["detail"].cast(pa.string())
        columns["programs"] = _programs(written, len(texts), self.revisions)
        names = [declared.partition(" ")[0] for declared in _declared()]
        own = [name for name in batch.schema.names if name not in ("id", "text")]
        arrays = [*(columns[name] for name in names), *(batch.column(name) for name in own)]
        return pa.RecordBatch.from_arrays(arrays, names=[*names, *own])

    def _unusable(self, id_: str | None, text: str | None) -> _Failure | None:
        """Why a row is no document, in the order of the readers' own checks."""
        if self.needs_id and (id_ is None or not id_.strip()):
            return _Failure(RejectCode.MISSING_ID.value, "the id is null or blank")
        if text is None:
            return _Failure(RejectCode.MISSING_TEXT.value, "the text is null")
        if len(text) > _MAX_TEXT_CHARS:
            return _Failure(RejectCode.TEXT_TOO_LARGE.value, f"{len(text)} characters")
        if not text or text.isspace():
            return _Failure(RejectCode.EMPTY_TEXT.value, "white space only")
        return None

    def _write(self, documents: pd.DataFrame) -> dict[Level, dict[int, list[dict[str, Any]]]]:
        """The programs of each level that is on, by row, in the order of the chunks."""
        written: dict[Level, dict[int, list[dict[str, Any]]]] = {
            level: {} for level in LEVELS if level in self.programs
        }
        for level in written:
            frames = list(self.programs[level]([documents])) if len(documents) else []
            for frame in frames:
                frame["margin"] = frame["margin"].astype(float)  # NaN for none, as Spark hands it on
                for record in frame.to_dict("records"):
                    row = {str(name): value for name, value in record.items()}
                    row["margin"] = None if math.isnan(record["margin"]) else record["margin"]
                    # One pass over a page gives the programs of both levels.
                    rows = written["doc" if row["chunk_index"] < 0 else "chunk"]
                    rows.setdefault(int(row["doc_id"]), []).append(row)
            if level == "doc" and frames:
                decided = [frame[frame["chunk_index"] < 0] for frame in frames]
                kept = pd.concat(list(self.decide(decided)))["doc_id"]
                done = [str(row) for row in written.get("chunk", ())]
                documents = documents[documents["doc_id"].isin(kept) & ~documents["doc_id"].isin(done)]
        for rows in written.values():
            for found in rows.values():
                found.sort(key=lambda row: row["chunk_index"])
        return written

    def _execute(
        self,
        texts: Sequence[str | None],
        written: Mapping[Level, Mapping[int, list[dict[str, Any]]]],
        failures: Mapping[int, _Failure],
    ) -> pa.RecordBatch:
        """Rows of `udfs.execute`; one that is no document goes in without a program."""
        decisions: list[tuple[str | None, str | None, float | None]] = []
        chunks: list[list[dict[str, Any]] | None] = []
        for row in range(len(texts)):
            if row in failures:
                decisions.append((None, None, None))
                chunks.append(None)
                continue
            said = written["doc"].get(row, [_NO_ROW])[0] if "doc" in written else _OFF
            decisions.append((said["program"], said["status"], said["margin"]))
            chunks.append(written["chunk"].get(row) if "chunk" in written else [])
        nothing = pa.nulls(len(texts), pa.string())
        columns = {
            **dict.fromkeys(("doc_id", "doc_hash", "url", "source", "crawl"), nothing),
            "text": pa.array([text or "" for text in texts], pa.large_string()),
            **{
                name: pa.array([said[place] for said in decisions], kind)
                for place, (name, kind) in enumerate(_DOC_INPUT.items())
            },
            "chunks": pa.array(
                [None if found is None else [_chunk(row) for row in found] for found in chunks],
                pa.list_(pa.struct(list(_CHUNK.items()))),
            ),
        }
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        (executed,) = self.execute([batch])
        return executed


_OFF: dict[str, Any] = {"program": "keep_doc()", "status": "OFF", "margin": None}
_NO_ROW: dict[str, Any] = {"program": None, "status": None, "margin": None}


def _chunk(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in StoredChunk._fields}


def _failed_programs(
    executed: pa.RecordBatch, written: Mapping[Level, Mapping[int, list[dict[str, Any]]]]
) -> dict[int, _Failure]:
    """Why executed rows are FAILED: the code of the first program where none could be used, as in `rejects`."""
    failures = {}
    pairs = zip(executed.column("outcome").to_pylist(), executed.column("reason").to_pylist(), strict=True)
    for row, (outcome, reason) in enumerate(pairs):
        if outcome != "FAILED":
            continue
        chunks = written.get("chunk", {}).get(row, [])
        if reason == "NO_PROGRAM" and chunks:
            first = next((chunk for chunk in chunks if chunk["status"] != "OK"), chunks[0])
            failures[row] = _Failure(first["status"], first["detail"])
        elif chunks:
            code, _, detail = reason.partition(":")
            failures[row] = _Failure(code, detail or None)
    return failures


def _programs(
    written: Mapping[Level, Mapping[int, list[dict[str, Any]]]], count: int, revisions: Mapping[Level, str]
) -> pa.Array:
    """The programs of each row, the document level's first."""
    lists = [
        [
            {**{name: row.get(name) for name in _PROGRAM}, "stage": level, "model_revision": revisions[level]}
            for level, rows in written.items()
            for row in rows.get(number, ())
        ]
        for number in range(count)
    ]
    return pa.array(lists, pa.list_(pa.struct([(name, kind) for name, (_, kind) in _PROGRAM.items()])))


def _replaced(column: pa.Array, values: Mapping[int, str | None]) -> pa.Array:
    if not values:
        return column
    return pa.array([values.get(row, value) for row, value in enumerate(column.to_pylist())], column.type)
