"""The rows of `runs` of a long stage while it runs. Spark runs, because Delta's MERGE is what replaces them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_prox.warehouse.schemas import RUNS
from tests.spark.conftest import Finished
from tests.spark.runs import pipeline, scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_row_grows_while_its_stage_runs_and_is_one_row_at_the_end(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    sets = ("guard.min_documents=8", "placement.batch_documents=12", "progress.store_every_s=0")
    pipe = pipeline(warehouse, None, *scripted(tiny_llama, "model.script=remove_lines(start=1, end=1)"), *sets)
    before = spark.sql(f"DESCRIBE HISTORY delta.`{warehouse}/runs` LIMIT 1").first()["version"]
    pipe.generate("doc")
    rows = pipe.warehouse.read("runs").where(F.col("run_id") == pipe.log.run_id)
    assert rows.count() == rows.select(*RUNS.key).distinct().count() == 1
    (row,) = rows.collect()
    assert (row["stage"], row["status"]) == ("generate-doc", "DONE")
    assert (row["documents"], row["planned"], row["kept"]) == (31, 31, 31)
    first = spark.read.option("versionAsOf", before + 1).format("delta").load(f"{warehouse}/runs")
    (growing,) = first.where(F.col("run_id") == pipe.log.run_id).collect()
    assert (growing["status"], growing["stage"], growing["finished_at"]) == ("RUNNING", "generate-doc", None)
    assert 8 <= growing["documents"] < growing["planned"] == 31
    assert growing["prompt_tokens"] > 0
    said = capsys.readouterr().err
    assert "generate-doc: done in" in said
    assert "100.0% kept" in said


def test_a_row_says_what_the_run_read_and_who_wrote_its_programs(spark: SparkSession, finished: Finished) -> None:
    rows = {row["stage"]: row for row in spark.read.format("delta").load(f"{finished.warehouse}/runs").collect()}
    read = json.loads(rows["ingest"]["input"])
    assert (read["files"], read["bytes"]) == (1, finished.source.stat().st_size)
    assert rows["execute"]["input"] is None
    assert [writer["stage"] for writer in rows["execute"]["writers"]] == ["doc", "chunk"]
    assert rows["execute"]["writers"][0]["model_revision"].startswith("scripted-")
    assert json.loads(rows["execute"]["policy"])["max_errors"] == 1
    assert rows["execute"]["tokens_after"] < rows["execute"]["tokens_before"]
