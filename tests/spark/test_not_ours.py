"""A warehouse may hold other people's things: a job that starts deletes what this code marked, and nothing else.

Needs Spark: what is deleted goes through Hadoop's file systems and the catalog, which a unit test would have to invent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.lease import LeaseConfig
from spark_prox.warehouse.marks import Marks
from spark_prox.warehouse.tables import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def opened(spark: SparkSession, place: str) -> None:
    warehouse = Warehouse(spark, place)
    warehouse.open_for_writing(LeaseConfig(), "test")
    assert warehouse.lease is not None
    warehouse.lease.release()


def contents(folder: Path) -> set[str]:
    """Everything below a folder but the lease's files and what Hadoop notes beside a file."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".crc")}
    return {name for name in found if not name.startswith(("_lease", "_spark_prox_lease"))}


def test_nothing_without_a_mark_is_deleted(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    staging = warehouse / "_staging"
    for name in ("theirs", "ingest-0123456789ab", "with-000000000001", "shout-000000000002", "empty-000000000003"):
        (staging / name).mkdir(parents=True)
        (staging / name / "data").write_text("mine")
    (staging / "with-000000000001.spark_prox").write_text("somebody else's marker")
    (staging / "shout-000000000002.spark_prox").write_text("SPARK_PROX MADE shout-000000000002 AND MAY DELETE IT\n")
    (staging / "empty-000000000003.spark_prox").touch()
    (staging / "folder-000000000004.spark_prox").mkdir()
    (staging / "file").touch()
    Marks(spark, str(staging)).set("..")
    Marks(spark, str(staging)).set("theirs")
    for name in ("_probe-0123", "_probe-of-space"):
        (warehouse / name).write_text("mine")
    (warehouse / "_probe-folder").mkdir()
    before = contents(warehouse)
    opened(spark, str(warehouse))
    assert contents(warehouse) == before


@pytest.mark.parametrize("where", ["the folder", "what is staged", "the marker"])
def test_nothing_is_deleted_through_a_link(spark: SparkSession, tmp_path: Path, where: str) -> None:
    outside, staging = tmp_path / "outside", tmp_path / "w" / "_staging"
    name = "ingest-0123456789ab"
    (outside / name).mkdir(parents=True)
    (outside / name / "data").write_text("mine")
    if where == "the folder":
        (tmp_path / "w").mkdir()
        Marks(spark, str(outside)).set(name)
        staging.symlink_to(outside)
    else:
        staging.mkdir(parents=True)
        Marks(spark, str(staging if where == "what is staged" else outside)).set(name)
        (staging / name).symlink_to(outside / name)
        if where == "the marker":
            (staging / f"{name}.spark_prox").symlink_to(outside / f"{name}.spark_prox")
    opened(spark, str(tmp_path / "w"))
    assert (outside / name / "data").read_text() == "mine"


def test_tables_of_a_catalog_without_our_property_stay(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA shared_by_many")
    try:
        theirs = ["_staging_ingest_0123456789ab", "_staging_orders", "_staging_parquet"]
        for name in theirs[:2]:
            spark.range(2).write.format("delta").saveAsTable(f"shared_by_many.{name}")
        spark.range(2).write.format("parquet").saveAsTable(f"shared_by_many.{theirs[2]}")
        spark.range(2).writeTo("shared_by_many._staging_copied").using("delta").tableProperty(
            "spark_prox.scratch", "_staging_ingest_0123456789ab"
        ).create()
        spark.sql("CREATE VIEW shared_by_many._staging_view AS SELECT 1 AS a")
        opened(spark, "catalog:shared_by_many")
        for name in (*theirs, "_staging_copied", "_staging_view"):
            assert spark.table(f"shared_by_many.{name}").count() in (1, 2)
        with Warehouse(spark, "catalog:`shared_by_many`").staged(spark.range(3), "ingest") as rows:
            assert rows.count() == 3
        left = {
            row["tableName"] for row in spark.sql("SHOW TABLES IN shared_by_many").collect() if not row["isTemporary"]
        }
        assert left == {*theirs, "_staging_copied", "_staging_view"}
    finally:
        spark.sql("DROP SCHEMA shared_by_many CASCADE")
