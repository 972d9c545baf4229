"""The execute stage's callable on Arrow batches, without Spark: nothing gets lost between Arrow and the executor."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from spark_prox.execution import StoredChunk, execute_stored
from spark_prox.programs import policy_for
from udfs.execute import ExecutePrograms

POLICY = policy_for("default")
TEXT = "\n".join(f"Sentence {line} of a page, long enough to be one." for line in range(8))
CHUNK = pa.struct(
    [
        ("chunk_index", pa.int32()),
        ("chunk_count", pa.int32()),
        ("first_line", pa.int32()),
        ("line_count", pa.int32()),
        ("program", pa.string()),
        ("status", pa.string()),
        ("line_margins", pa.list_(pa.float32())),
    ]
)


def chunk(index: int, count: int, **other: Any) -> dict[str, Any]:
    line = 4 * index + 1
    row = StoredChunk(index, count, 4 * index, 4, f"remove_lines(line_start={line}, line_end={line})", "OK")._asdict()
    return {**row, **other}


CHUNKS: list[list[dict[str, Any]] | None] = [
    [chunk(0, 2), chunk(1, 2)],
    None,
    [],
    [chunk(0, 2, line_margins=[1.0, 2.0, 3.0, 4.0]), chunk(1, 2, program=None, status="ENGINE_FAILED")],
    [chunk(0, 2)],
    [chunk(0, 2, program="keep_chunk()"), chunk(1, 2)],
]


def batch() -> pa.RecordBatch:
    count = len(CHUNKS)
    names = [f"d{n}" for n in range(count)]
    columns = {
        "doc_id": pa.array(names),
        "doc_hash": pa.array(names),
        "url": pa.nulls(count, pa.string()),
        "text": pa.array([TEXT] * count, pa.large_string()),
        "source": pa.array(["test"] * count),
        "crawl": pa.nulls(count, pa.string()),
        "doc_program": pa.array(["keep_doc()"] * count),
        "doc_status": pa.array(["OK"] * count),
        "doc_margin": pa.nulls(count, pa.float64()),
        "chunks": pa.array(CHUNKS, pa.list_(CHUNK)),
        "mine": pa.array(range(count)),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


@pytest.mark.parametrize(("first", "stop"), [(0, 6), (1, 3), (3, 6), (5, 5)])
def test_each_row_is_what_the_executor_says_of_its_own_chunks(first: int, stop: int) -> None:
    (done,) = ExecutePrograms(policy=POLICY, dialect="prox")([batch()[first:stop]])
    wanted = [
        execute_stored(
            TEXT,
            doc_program="keep_doc()",
            doc_status="OK",
            doc_margin=None,
            chunks=None if chunks is None else [StoredChunk(**row) for row in chunks],
            policy=POLICY,
            dialect="prox",
        )
        for chunks in CHUNKS[first:stop]
    ]
    rows = done.to_pylist()
    assert [row["mine"] for row in rows] == list(range(first, stop))
    for name in ("text", "outcome", "reason", "calls", "chunks", "failed_chunks", "lines_after"):
        assert [row[name] for row in rows] == [getattr(row, name) for row in wanted]
    assert [row["edits"] for row in rows] == [[edit._asdict() for edit in row.edits] for row in wanted]


def test_the_rows_differ() -> None:
    (done,) = ExecutePrograms(policy=POLICY, dialect="prox")([batch()])
    assert len({(row["text"], row["outcome"], row["failed_chunks"]) for row in done.to_pylist()}) == 5
