"""Rows in tasks of equal cost. Spark runs, because it decides which row goes to which task."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_prox.spark.balancing import balanced
from spark_prox.spark.local_rows import local_rows
from spark_prox.warehouse.schemas import RUNS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_tasks_get_their_shares_and_long_rows_first(spark: SparkSession) -> None:
    rng = random.Random(1)
    sizes = [(f"d{n}", int(rng.lognormvariate(6, 1.5))) for n in range(3_000)]
    rows = spark.createDataFrame(sizes, "doc_id string, size int")
    spread, largest = balanced(rows, "doc_id", F.col("size").cast("long"), 4, 2)
    assert spread.columns == ["doc_id", "size"]
    tasks = [[row["size"] for row in rows] for rows in spread.rdd.glom().collect()]
    assert len(tasks) == 4
    assert sorted(size for task in tasks for size in task) == sorted(size for _, size in sizes)
    assert all(task == sorted(task, reverse=True) for task in tasks)
    sums = [sum(task) for task in tasks]
    assert max(sums) / sum(sums) / (16 / 34) == pytest.approx(largest)
    assert [round(34 * size / sum(sums), 1) for size in sums] == [16, 16, 1, 1]

    # One that is longer than all others together is dealt out in parts, and only that one.
    giant = spark.createDataFrame([("giant", sum(size for _, size in sizes))], "doc_id string, size int")
    spread, largest = balanced(rows.union(giant), "doc_id", F.col("size").cast("long"), 4, 2, cuts=True)
    assert spread.columns == ["doc_id", "size", "part", "parts"]
    found = [[row for row in rows if row["doc_id"] == "giant"] for rows in spread.rdd.glom().collect()]
    assert sorted((row["part"], row["parts"]) for rows in found for row in rows) == [(n, 3) for n in range(3)]
    assert all(len(rows) < 3 for rows in found)
    assert largest < 1.01
    whole = spread.where("parts = 1 AND part = 0").select("doc_id")
    assert sorted(row["doc_id"] for row in whole.collect()) == sorted(key for key, _ in sizes)


def test_rows_of_the_driver_are_part_of_the_plan(spark: SparkSession) -> None:
    """Every type of `runs`; a map, a struct, a time with its zone. Spark says whether a job makes them."""
    now = datetime(2026, 11, 27, 12, 30, 5, 123456, tzinfo=timezone.utc)
    values: dict[str, object] = dict.fromkeys(RUNS.schema.fieldNames())
    values |= {"run_id": "r", "started_at": now, "seconds": 1.5, "documents": 3, "versions": {"a": "1", "b": "2"}}
    values |= {"guard": {"x": 0.5}, "writers": [("doc", "m", "r", "t", "h", "g")]}
    local = local_rows(spark, [tuple(values.values())], RUNS.schema)
    usual = spark.createDataFrame([tuple(values.values())], RUNS.schema)
    assert local.schema == usual.schema
    assert local.collect() == usual.collect()
    assert local._jdf.queryExecution().optimizedPlan().nodeName() == "LocalRelation"
    assert local_rows(spark, [], "a int, b string").collect() == []
