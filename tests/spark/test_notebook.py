"""The facade on a classic session: `spark_prox.refine` and `spark_prox.connect`.

Needs Spark: whether names meet is decided by Spark's analysis, and what Arrow carries by both sides of the socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import spark_prox
from spark_prox.errors import ConfigError, InputError, TableError
from tests.spark import facade_cases

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.spark.conftest import Finished

SCRIPTED = {"model.engine": "scripted", "doc.enabled": False, "count_tokens": False}


def test_a_frame_is_refined_and_keeps_all_that_it_brought(spark: SparkSession, tiny_llama: Path) -> None:
    facade_cases.check(facade_cases.refined(spark, tiny_llama))


def test_it_is_lazy_and_leaves_the_order_and_the_schema_of_the_other_columns(
    spark: SparkSession, tiny_llama: Path
) -> None:
    frame = facade_cases.pages(spark)
    refined = spark_prox.refine(frame, id=None, model=str(tiny_llama), settings=SCRIPTED)
    names = refined.columns
    assert names[:3] == ["text", "outcome", "reason"]
    assert names[-len(frame.columns) :] == [
        *("id", "input_text", "input_input_OutCome", "a.b `c", "own", "p0", "c0", "input_outcome")
    ]
    assert [field.dataType for field in refined.schema.fields[-3:]] == [
        field.dataType for field in frame.schema.fields[-3:]
    ]


def test_a_document_whose_programs_all_failed_is_a_row_with_their_code(spark: SparkSession, tiny_llama: Path) -> None:
    frame = spark.createDataFrame([("w " * 5000,), ("a page\nof two lines",)], "content string")
    rows = spark_prox.refine(frame, text="content", id=None, model=str(tiny_llama), settings=SCRIPTED).collect()
    assert [(row["outcome"], row["reason"]) for row in rows] == [("FAILED", "LINE_TOO_LONG"), ("KEPT", "KEEP_CALL")]
    assert rows[0]["text"] == rows[0]["content"]
    assert [program["status"] for program in rows[0]["programs"]] == ["LINE_TOO_LONG"]


def test_rules_need_no_model_and_text_may_lie_in_a_struct(spark: SparkSession) -> None:
    frame = spark.createDataFrame([((facade_cases.TEXT,), 3)], "page struct<`the text`:string>, number int")
    rules = {"model.engine": "author"}
    (row,) = spark_prox.refine(frame, text="page.the text", id="number", model="keep", settings=rules).collect()
    assert (row["outcome"], row["text"], row["number"]) == ("KEPT", facade_cases.TEXT, 3)
    assert row["page"]["the text"] == facade_cases.TEXT


def test_what_cannot_be_meant_is_said_before_anything_runs(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", b"b", 1, 2)], "txt string, raw binary, x int, X int")
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*'text'.*Did you mean 'txt'"):
        spark_prox.refine(frame, id=None)
    with pytest.raises(InputError, match=r"BAD_COLUMN.*binary"):
        spark_prox.refine(frame, text="raw", id=None)
    with pytest.raises(ConfigError, match=r"CONFIG_UNKNOWN_KEY.*'warehouse'"):
        spark_prox.refine(frame, text="txt", id=None, settings={"warehouse": "w"})
    with pytest.raises(ConfigError, match="POLICY_UNKNOWN"):
        spark_prox.refine(frame, text="txt", id=None, policy="none")


def test_a_warehouse_is_read_with_the_queries_of_the_reports(
    finished: Finished, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.warehouse.parent)  # Spark's process stays where it is
    corpus = spark_prox.connect(finished.warehouse.name)
    said = facade_cases.asked(corpus)
    assert {*said["tables"]} >= {"documents", "programs", "refined", "rejects", "runs"}
    assert sum(count for _, count in said["outcomes"]) == len(finished.refined) == said["sql"][0][0]
    assert sum(said["hosts"]) == len(finished.refined)
    assert {code for code, _, _ in said["rejected"]} >= {"MISSING_TEXT", "EMPTY_TEXT", "DUPLICATE_ID", "BAD_ROW"}
    assert {stage for stage, _, _ in said["statuses"]} == {"doc", "chunk"}
    with pytest.raises(TableError, match=r"TABLE_MISSING.*annotations"):
        _ = corpus.annotations
    spark.sql("DROP VIEW IF EXISTS refined")


def test_a_warehouse_of_a_later_version_says_so(finished: Finished, spark: SparkSession, tmp_path: Path) -> None:
    warehouse, _ = finished.copy(tmp_path)
    spark.sql(f"ALTER TABLE delta.`{warehouse}/refined` SET TBLPROPERTIES ('spark_prox.schema_version' = '9')")
    with pytest.raises(TableError, match=r"TABLE_NEWER.*later version.*stale zip"):
        _ = spark_prox.connect(str(warehouse)).refined
