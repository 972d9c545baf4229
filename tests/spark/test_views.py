"""The views of the accounting, by values computed by hand. They are SQL: Spark has to run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_prox.warehouse.accounting import MODEL_SIZES
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.views import VIEWS_FILE, create_views
from tests.spark.conftest import Finished
from tests.spark.runs import run_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEYS = {"doc_hash": "h", "text": "t", "bucket": 0, "settings_hash": "s", "policy_hash": "p", "run_id": "r"}
KEYS |= {"chunk_index": 0, "model": "m", "model_revision": "v", "template": "t@1", "template_hash": "t"}
KEYS |= {"generation_hash": "g", "status": "OK"}


def fill(spark: SparkSession, warehouse: Warehouse, table: str, rows: list[dict[str, object]]) -> None:
    """Rows of a table; what they do not say is a constant or null."""
    schema = TABLES[table].schema
    warehouse.ensure(table)
    values = [tuple({**KEYS, **row}.get(field.name) for field in schema.fields) for row in rows]
    warehouse.append(table, spark.createDataFrame(values, schema).coalesce(1))


def small(spark: SparkSession, location: str) -> Warehouse:
    """Two sources, five documents: kept, edited, dropped by either level, and one that no program could be had for."""
    warehouse = Warehouse(spark, location)
    documents = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("b3", "b")]
    fill(spark, warehouse, "documents", [{"doc_id": d, "source": s, "crawl": "c"} for d, s in documents])
    outcomes = [
        ("a1", "KEPT", "KEEP_CALL", 100, 100),
        ("a2", "EDITED", "KEEP_CALL", 200, 150),
        ("b1", "DROPPED", "DROP_CALL", 50, 0),
        ("b2", "DROPPED", "KEEP_CALL", 10, 0),
    ]
    fill(
        spark,
        warehouse,
        "refined",
        [
            {
                **{"doc_id": doc_id, "outcome": outcome, "doc_reason": why, "edits": [], "words_before": before // 2},
                **{"tokens_before": before, "tokens_after": after, "words_after": after // 2},
                "text": None if outcome == "DROPPED" else "t",
            }
            for doc_id, outcome, why, before, after in outcomes
        ],
    )
    programs: list[dict[str, object]] = [
        {"doc_id": "a1", "stage": "doc", "program": "```\nkeep_doc()\n```"},
        {"doc_id": "b1", "stage": "doc", "program": "drop_doc()"},
        {"doc_id": "a2", "stage": "doc", "program": "The page is good. keep_doc()"},
        {"doc_id": "b3", "stage": "doc", "status": "ENGINE_FAILED"},
        {"doc_id": "a1", "stage": "chunk", "program": "keep_chunk()"},
        {
            "doc_id": "a2",
            "stage": "chunk",
            "program": 'remove_lines(0, 1)\n remove_lines(3, 3)\nnormalize("a")\nmade_up(1)',
        },
    ]
    fill(spark, warehouse, "programs", [{"prompt_tokens": 50, "output_tokens": 2, **row} for row in programs])
    runs: list[dict[str, object]] = [
        {"run_id": "1", "stage": "generate-doc", "flop": 1e9},
        {"run_id": "1", "stage": "generate-chunk", "flop": 2e9},
        {"run_id": "2", "stage": "generate-chunk", "flop": 4e9},
        {"run_id": "2", "stage": "execute"},
    ]
    fill(spark, warehouse, "runs", runs)
    return warehouse


def check(spark: SparkSession, names: list[str]) -> None:
    flow, programs, cost = (spark.table(name) for name in names)
    columns = ("source", "stage", "documents", "tokens", "words", "uncounted")
    assert [tuple(row) for row in flow.orderBy("source", "step").select(*columns).collect()] == [
        ("a", "raw", 2, 300, 150, 0),
        ("a", "filtered", 2, 300, 150, 0),
        ("a", "doc", 2, 300, 150, 0),
        ("a", "chunk", 2, 250, 125, 0),
        ("b", "raw", 3, 60, 30, 1),
        ("b", "filtered", 2, 60, 30, 0),
        ("b", "doc", 1, 10, 5, 0),
        ("b", "chunk", 0, 0, 0, 0),
    ]
    by_level = {row["stage"]: row for row in programs.collect()}
    doc, chunk = by_level["doc"], by_level["chunk"]
    assert (doc["programs"], doc["failed"], doc["unreadable"], doc["failure_ratio"]) == (4, 1, 1, 0.5)
    assert doc["calls_by_kind"] == {"keep_doc": 1, "drop_doc": 1}
    assert (chunk["programs"], chunk["failure_ratio"], chunk["calls"], chunk["calls_per_program"]) == (2, 0.0, 4, 2.0)
    assert chunk["calls_by_kind"] == {"keep_chunk": 1, "remove_lines": 2, "normalize": 1}
    assert (chunk["prompt_tokens"], chunk["output_tokens"], chunk["output_share"]) == (100, 4, 0.04)
    sizes = {row["model_size"]: row for row in cost.collect()}
    assert [*sizes] == [*MODEL_SIZES]
    smallest = sizes["0.35B"]
    assert (smallest["tokens_raw"], smallest["tokens_doc"], smallest["tokens_kept"]) == (360, 310, 250)
    assert (smallest["flop_doc"], smallest["flop_chunk"], smallest["flop_refining"]) == (1e9, 6e9, 7e9)
    assert smallest["flop_training"] == 531_427_200_000  # 6 x 354,284,800 x 250
    assert smallest["flop_raw"] == 765_255_168_000
    assert smallest["refining_to_training"] == pytest.approx(7e9 / 531_427_200_000)
    assert smallest["flop_total"] == 538_427_200_000


def test_views_of_a_folder_are_statements_in_a_file(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(spark, str(tmp_path / "w"))
    assert run_job("views", "--warehouse", str(tmp_path / "w")) == 0
    said = capsys.readouterr().out
    assert "531427200000" in said.replace(",", "")
    names = ["v_token_flow", "v_programs", "v_cost"]
    for name in names:
        spark.catalog.dropTempView(name)
    for statement in (tmp_path / "w" / VIEWS_FILE).read_text().split(";\n"):
        if statement.strip():
            spark.sql(statement)
    check(spark, names)
    assert run_job("views", "--warehouse", str(tmp_path / "nothing")) == 2


def test_views_of_a_catalog_stay(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA accounting")
    try:
        names = create_views(spark, small(spark, "catalog:accounting"))
        assert {
            row["viewName"] for row in spark.sql("SHOW VIEWS IN accounting").collect() if not row["isTemporary"]
        } == {*("v_token_flow", "v_programs", "v_cost")}
        check(spark, names)
    finally:
        spark.sql("DROP SCHEMA accounting CASCADE")


def test_a_finished_run_is_accounted_for(spark: SparkSession, finished: Finished) -> None:
    """Each view against the same sums over the rows that the run gave."""
    flow, programs, _ = (spark.table(name) for name in create_views(spark, Warehouse(spark, str(finished.warehouse))))
    steps = {
        row["stage"]: row
        for row in flow.groupBy("stage").agg(*(F.sum(c).alias(c) for c in ("documents", "tokens"))).collect()
    }
    rows = [*finished.refined.values()]
    assert (steps["raw"]["documents"], steps["raw"]["tokens"]) == (31, sum(row["tokens_before"] for row in rows))
    assert (steps["chunk"]["documents"], steps["chunk"]["tokens"]) == (30, sum(row["tokens_after"] for row in rows))
    counts = {row["stage"]: (row["programs"], row["calls_by_kind"]) for row in programs.collect()}
    assert counts["chunk"][1]["remove_lines"] == 34
