"""What is to be done is decided once: a write to the tables it was read from changes nothing in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_prox.stages.work_list import decided_once

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_write_to_their_table_does_not_decide_rows_again(spark: SparkSession, tmp_path: Path) -> None:
    table = str(tmp_path / "table")
    spark.range(5).write.format("delta").save(table)
    rows = spark.read.format("delta").load(table).select("id", F.uuid().alias("drawn"))
    with decided_once(rows) as kept:
        before = {row["id"]: row["drawn"] for row in kept.collect()}
        spark.range(5, 7).write.format("delta").mode("append").save(table)
        assert {row["id"]: row["drawn"] for row in kept.collect()} == before
        assert kept.where("id >= 3").count() == 2
    assert len(before) == 5
