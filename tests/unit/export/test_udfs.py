"""What runs on executors, on Arrow batches and without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_prox.config.export import ExportConfig
from spark_prox.export.destination import Destination
from spark_prox.export.formats import ShardWriter
from spark_prox.export.placing import Placing, shard_ranges
from spark_prox.export.shards import shard_names
from udfs.export import ApplyRules, PlaceDocuments, RemoveRepeated, WriteShards

SENTENCES = "\n".join(f"This is sentence number {n} of a page." for n in range(5))


def test_rules_drop_documents_and_the_lines_that_c4_drops() -> None:
    texts = [
        f"Home | About\n{SENTENCES}\nRead our privacy policy now, dear reader.",
        "Too short.",
        f"{SENTENCES}\n{{}}",
    ]
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a", "b", "c"], "text": pa.array(texts, pa.large_string())})
    (kept,) = ApplyRules(rules="c4")([batch])
    assert kept.to_pydict() == {"doc_id": ["a"], "text": [SENTENCES]}
    assert kept.schema == batch.schema
    (kept,) = ApplyRules(rules="fineweb")([batch])
    assert kept.column("text").to_pylist() == [texts[0], texts[2]]


def test_a_document_is_placed_as_often_as_its_source_weighs() -> None:
    placing = Placing(config=ExportConfig(mixture={"x": 2, "y": 0}), ranges=shard_ranges({"train": 4}))
    batch = pa.RecordBatch.from_pydict({"doc_id": ["a", "b", "c"], "url": [None] * 3, "source": ["x", "y", None]})
    rows = [row for part in PlaceDocuments(placing=placing)([batch, batch.slice(0, 0)]) for row in part.to_pylist()]
    assert [(row["doc_id"], row["copy"]) for row in rows] == [("a", 0), ("c", 0), ("a", 1)]
    assert [row["place"] for row in rows] == [placing.place("a", 0), placing.place("c", 0), placing.place("a", 1)]
    assert {row["shard"] for row in rows} == {row["place"] * 4 >> 63 for row in rows}


def test_shards_are_cut_where_the_shard_changes_and_not_where_a_batch_ends(tmp_path: Path) -> None:
    rows = [(shard, f"d{n}", f"text {n}", None, None, None, 1, 0, n) for n, shard in enumerate([0, 0, 0, 2, 2, 3])]
    names = ["shard", "doc_id", "text", "url", "source", "crawl", "tokens", "copy", "c0"]
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    shards = shard_names(shard_ranges({"train": 3, "validation": 1}))
    writer = ShardWriter(destination=Destination(str(tmp_path)), format="parquet", extra={"n": pa.int64()})
    written = [
        row
        for part in WriteShards(writer=writer, shards=shards)(table.to_batches(max_chunksize=2))
        for row in part.to_pylist()
    ]
    assert [row["shard"] for row in written] == [0, 2, 3]
    assert [json.loads(row["record"])["documents"] for row in written] == [3, 2, 1]
    found = {
        str(file.relative_to(tmp_path)): pq.read_table(file)["n"].to_pylist() for file in tmp_path.rglob("*.parquet")
    }
    assert found == {
        "train/shard-00000.parquet": [0, 1, 2],
        "train/shard-00002.parquet": [3, 4],
        "validation/shard-00000.parquet": [5],
    }


def test_lines_that_a_filter_removes_go_and_the_other_columns_stay() -> None:
    programs = pa.array(["remove_lines(line_start=0, line_end=0)", None], pa.string())
    rows = pa.RecordBatch.from_pydict(
        {"doc_id": ["a", "b"], "text": ["menu\nstory", "menu\nstory"], "c0": [1, 2], "line_program": programs}
    )
    (done,) = RemoveRepeated()([rows])
    assert done.to_pydict() == {"doc_id": ["a", "b"], "text": ["story", "menu\nstory"], "c0": [1, 2]}
