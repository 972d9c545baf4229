"""The user's columns may have any name: the whole of `refine` works, and the tables have them under their own names.

Needs Spark: whether a name meets one of ours is decided by Spark's analysis of the plans, and by Delta and Parquet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from spark_prox.pipeline import Pipeline
from spark_prox.stages.own_columns import OwnColumns
from tests.spark import runs

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

PLAIN = [
    "a b", "a,b", "a;b", "a=b", "a\nb", "a\tb", "a.b", ".", "a(b)", "{}", "a'b", "a\"b", "ünï",
    "日本", "*", "%", "a/b", "--", "select", "known_hash", "doc_program", "doc_status",
    "bad_status", "bad_detail", "whole", "tried", "most", "stored", "held", "source_id", "own", "c0", "p0",
    "__own", "key", "value", "count", "_c0", "struct", "null", " x", "x ",
]  # fmt: skip
"""Names that the tables have as they are."""

RESERVED = ["_change_type", "_commit_version", "_commit_timestamp", "_metadata", "doc_margin"]
"""Names that the tables have with `input_` before them."""

OF_READERS = ["__prox_rank", "__prox_id"]
"""Names that the tables have with `input` before them, from JSON lines."""


def run(
    model: Path, source: Path, warehouse: Path, form: str, script: str = "remove_lines(start=0, end=0)"
) -> Pipeline:
    settings = (*runs.scripted(model, f"model.script={script}"), "doc.enabled=false", "count_tokens=false")
    pipe = runs.pipeline(warehouse, source, *settings, format=form, id_column="id")
    pipe.ingest()
    pipe.advance()
    return pipe


def rows_of(pipe: Pipeline, table: str) -> dict[str, Row]:
    return {row["doc_id"]: row for row in pipe.warehouse.read(table).collect()}


def check(pipe: Pipeline, values: dict[str, Any], text: str) -> None:
    for table in ("documents", "refined"):
        row = rows_of(pipe, table)["a"].asDict(recursive=True)
        assert {name: row.get(name, "missing") for name in values} == values
    assert rows_of(pipe, "refined")["a"]["text"] == text
    assert rows_of(pipe, "refined")["a"]["outcome"] == "EDITED"


def json_values() -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of a source of JSON lines, and of the tables."""
    values: dict[str, Any] = {name: number for number, name in enumerate(PLAIN)}
    values |= {"m": {"x y": 1, "p.q": {"`": [{"r s": 2}]}}, "l": [{"p q": 1, "own": "z"}]}
    given = {**values, **dict.fromkeys([*RESERVED, *OF_READERS], "theirs")}
    wanted = {**values, **{f"input_{name}": "theirs" for name in RESERVED}}
    wanted |= {f"input{name}": "theirs" for name in OF_READERS}
    return given | {"c`d": 1, "`": 2}, wanted | {"c'd": 1, "'": 2}


@pytest.mark.usefixtures("spark")
def test_columns_of_json_lines_keep_their_names_through_the_whole_of_refine(tiny_llama: Path, tmp_path: Path) -> None:
    source, warehouse = tmp_path / "in.jsonl", tmp_path / "w"
    given, wanted = json_values()
    text = "Menu\nThe river rose two metres and the bridge was closed."
    source.write_text(json.dumps({"id": "a", "text": text, **given}) + "\n")
    check(run(tiny_llama, source, warehouse, "jsonl"), wanted, text.split("\n")[1])
    # Once more: the document has changed, so that its rows are replaced.
    text = "Menu\nThe river fell again and the bridge was opened."
    other = {"id": "b", "text": text, **given}
    source.write_text(json.dumps({"id": "a", "text": text, **given}) + "\n" + json.dumps(other) + "\n")
    pipe = run(tiny_llama, source, warehouse, "jsonl")
    check(pipe, wanted, text.split("\n")[1])
    assert set(rows_of(pipe, "refined")) == {"a", "b"}


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_documents_whose_programs_cannot_be_read_pass_the_same_names(tiny_llama: Path, tmp_path: Path) -> None:
    given, _ = json_values()
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"id": "c", "text": "Menu\nThe river fell again.", **given}) + "\n")
    pipe = run(tiny_llama, source, tmp_path / "w", "jsonl", script="nothing that is a program")
    assert set(rows_of(pipe, "documents")) == set(rows_of(pipe, "rejects")) == {"c"}


@pytest.mark.usefixtures("spark")
def test_columns_of_parquet_keep_their_names_through_the_whole_of_refine(tiny_llama: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "Menu\nThe river rose two metres and the bridge was closed."
    values: dict[str, Any] = {name: number for number, name in enumerate(PLAIN)}
    values["m m"] = {"x y": 1}
    columns = {"id": ["a"], "text": [text], **{name: [value] for name, value in values.items()}}
    table = pa.table(columns).append_column(
        "map", pa.array([[("k v", {"x y": 3})]], pa.map_(pa.string(), pa.struct([("x y", pa.int64())])))
    )
    pq.write_table(table, tmp_path / "in.parquet")
    pipe = run(tiny_llama, tmp_path / "in.parquet", tmp_path / "w", "parquet")
    check(pipe, {**values, "map": {"k v": {"x y": 3}}}, text.split("\n")[1])


def test_names_that_no_table_can_have_are_told_apart(spark: SparkSession) -> None:
    """Whatever a source hands on: names alike but for case, no name, and the working names of the readers."""
    names = [
        "Case",
        "case",
        "CASE",
        "",
        " ",
        "__prox_path",
        "__prox_row",
        "DOC_HASH",
        "URL",
        "input_url",
        "input_doc_hash",
    ]
    core = ("doc_id", "url", "text", "source", "crawl", "path", "reject_code", "reject_detail", "position")
    schema = StructType(
        [StructField(name, StringType()) for name in core] + [StructField(n, LongType()) for n in names]
    )
    rows = spark.createDataFrame([(*["x"] * len(core), *range(len(names)))], schema)
    packed, own = OwnColumns.pack_input(rows, core, None)
    row = packed.select(*own.unpacked()).first()
    assert row is not None
    assert row.asDict() == {
        "Case": 0, "case_2": 1, "CASE_3": 2, "unnamed": 3, "unnamed_2": 4, "__prox_path": 5, "__prox_row": 6,
        "input_input_DOC_HASH": 7, "input_input_URL": 8, "input_url": 9, "input_doc_hash": 10,
    }  # fmt: skip
