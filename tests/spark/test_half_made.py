"""A job killed while it created a table: the next one creates it, whatever that left, and deletes nobody's data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse.marks import Marks
from spark_prox.warehouse.schemas import REJECTS
from spark_prox.warehouse.tables import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def schema(spark: SparkSession) -> Iterator[tuple[Warehouse, Path]]:
    """A schema of the catalog, and its folder."""
    spark.sql("CREATE SCHEMA half_made")
    try:
        folder = spark.catalog.getDatabase("half_made").locationUri
        yield Warehouse(spark, "catalog:half_made"), Path(folder.removeprefix("file:"))
    finally:
        spark.sql("DROP SCHEMA half_made CASCADE")


@pytest.mark.parametrize("left", ["_staged_commits/", ".00000000000000000000.json.0123.tmp"])
def test_a_log_without_a_commit_is_no_table_and_in_nobodys_way(spark: SparkSession, tmp_path: Path, left: str) -> None:
    """What a SIGKILL left in a round of the soak: every later run ended with DELTA_TABLE_NOT_FOUND."""
    _leave(tmp_path / "rejects" / "_delta_log", left)
    warehouse = Warehouse(spark, str(tmp_path))
    warehouse.check_schemas()
    assert not warehouse.exists("rejects")
    warehouse.ensure("rejects")
    assert warehouse.exists("rejects")
    assert warehouse.read("rejects").count() == 0


def test_what_lies_beside_data_is_not_deleted(spark: SparkSession, tmp_path: Path) -> None:
    _leave(tmp_path / "rejects" / "_delta_log", "_staged_commits/")
    spark.range(3).coalesce(1).write.parquet(str(tmp_path / "rejects" / "of-somebody"))
    with pytest.raises(Exception, match="DELTA_"):
        Warehouse(spark, str(tmp_path)).ensure("rejects")
    assert spark.read.parquet(str(tmp_path / "rejects" / "of-somebody")).count() == 3


def test_a_log_that_the_catalog_does_not_list_yet_is_in_nobodys_way(
    spark: SparkSession, schema: tuple[Warehouse, Path]
) -> None:
    warehouse, folder = schema
    committed = DeltaTable.createIfNotExists(spark).location(str(folder / "rejects")).addColumns(REJECTS.schema)
    committed.execute()
    _leave(folder / "runs" / "_delta_log", "_staged_commits/")
    assert not warehouse.exists("rejects")
    for table in ("rejects", "runs"):
        warehouse.ensure(table)
        assert warehouse.exists(table)
        assert warehouse.read(table).count() == 0


def test_a_log_that_names_rows_stored_elsewhere_is_not_deleted(
    spark: SparkSession, schema: tuple[Warehouse, Path], tmp_path: Path
) -> None:
    warehouse, folder = schema
    spark.range(3).write.format("delta").save(str(tmp_path / "original"))
    spark.sql(f"CREATE TABLE delta.`{folder / 'rejects'}` SHALLOW CLONE delta.`{tmp_path / 'original'}`")
    assert [path.name for path in (folder / "rejects").iterdir()] == ["_delta_log"]
    with pytest.raises(Exception, match="DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"):
        warehouse.ensure("rejects")
    assert spark.read.format("delta").load(str(folder / "rejects")).count() == 3


def test_staged_rows_that_the_catalog_does_not_list_are_deleted(
    spark: SparkSession, schema: tuple[Warehouse, Path]
) -> None:
    warehouse, folder = schema
    marks = Marks(spark, str(folder), "_staging_")
    for name in ("_staging_ingest_0123456789ab", "_staging_doctor_0123456789ab"):  # the second is a reader's, of now
        _leave(folder / name / "_delta_log", "_staged_commits/")
        marks.set(name)
    name = "_staging_refined_0123456789ab"
    marks.set(name)
    rows = spark.range(2).writeTo(f"half_made.{name}").using("delta")
    rows.tableProperty("spark_prox.scratch", name).create()
    warehouse.open_for_writing(LeaseConfig(), "test")
    assert warehouse.lease is not None
    warehouse.lease.release()
    assert {path.name.removesuffix(".spark_prox") for path in folder.glob("_staging*")} == {
        "_staging_doctor_0123456789ab"
    }


def test_a_log_with_somebodys_file_in_it_is_not_deleted(spark: SparkSession, tmp_path: Path) -> None:
    _leave(tmp_path / "rejects" / "_delta_log", "_staged_commits/")
    (tmp_path / "rejects" / "_delta_log" / "notes.txt").write_text("mine")
    (tmp_path / "elsewhere" / "_delta_log" / "_staged_commits").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "elsewhere")
    for table in ("rejects", "runs"):
        with contextlib.suppress(Exception):  # Delta may refuse to create a table there, or not
            Warehouse(spark, str(tmp_path)).ensure(table)
    assert (tmp_path / "rejects" / "_delta_log" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "runs").is_symlink()
    assert (tmp_path / "elsewhere" / "_delta_log").is_dir()


@pytest.mark.parametrize("committed", [False, True])
def test_a_first_write_that_was_killed_is_in_nobodys_way(spark: SparkSession, tmp_path: Path, committed: bool) -> None:
    _creating(spark, tmp_path, "rejects")
    rows = spark.range(3).coalesce(1).write
    if committed:
        rows.format("delta").save(str(tmp_path / "rejects"))
    else:
        rows.parquet(str(tmp_path / "rejects"))
        (tmp_path / "rejects" / "_SUCCESS").unlink()  # Delta writes none
    spark.range(3).coalesce(1).write.parquet(str(tmp_path / "runs"))  # of somebody: there is no mark
    warehouse = Warehouse(spark, str(tmp_path))
    if committed:
        with pytest.raises(TableError, match="TABLE_SCHEMA"):
            warehouse.open_for_writing(LeaseConfig(), "test")
        assert spark.read.format("delta").load(str(tmp_path / "rejects")).count() == 3
    else:
        warehouse.open_for_writing(LeaseConfig(), "test")
        assert not (tmp_path / "rejects").exists()
        assert not list((tmp_path / "_staging").iterdir())
        warehouse.expect("rejects")
        assert warehouse.read("rejects").count() == 0
    assert warehouse.lease is not None
    warehouse.lease.release()
    assert spark.read.parquet(str(tmp_path / "runs")).count() == 3


@pytest.mark.parametrize("case", ["somebody's file", "a link", "a note without the mark's words"])
def test_what_is_not_only_of_a_killed_first_write_stays(spark: SparkSession, tmp_path: Path, case: str) -> None:
    elsewhere = tmp_path / ("elsewhere" if case == "a link" else "rejects")
    spark.range(3).coalesce(1).write.parquet(str(elsewhere))
    (elsewhere / "_SUCCESS").unlink()
    _creating(spark, tmp_path, "rejects")
    if case == "a link":
        (tmp_path / "rejects").symlink_to(elsewhere)
    elif case == "somebody's file":
        (elsewhere / "notes.txt").write_text("mine")
    else:
        (mark,) = (tmp_path / "_staging").iterdir()
        mark.write_text("mine")
    warehouse = Warehouse(spark, str(tmp_path))
    warehouse.open_for_writing(LeaseConfig(), "test")
    assert warehouse.lease is not None
    warehouse.lease.release()
    assert spark.read.parquet(*(str(file) for file in elsewhere.glob("*.parquet"))).count() == 3


def _creating(spark: SparkSession, folder: Path, table: str) -> None:
    """Leave the mark of a job that was killed while it created a table with its first rows."""
    (folder / "_staging").mkdir()
    Marks(spark, str(folder / "_staging")).set(f"creating-{table}-0123456789ab")
    (folder / "_staging" / f".creating-{table}-0123456789ab.spark_prox.crc").unlink(missing_ok=True)


def _leave(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    if name.endswith("/"):
        (folder / name).mkdir()
    else:
        (folder / name).touch()
