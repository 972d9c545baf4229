"""Tables of an earlier version: migrated when a job may write, with every row as it was. The step is made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql.types import StringType, StructField, StructType

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse import migrations, schemas
from spark_prox.warehouse.creation import create_empty
from spark_prox.warehouse.migrations import MIGRATIONS, VERSION, Migration
from spark_prox.warehouse.schemas import DOCUMENTS, REJECTS, RUNS, TABLES
from spark_prox.warehouse.tables import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

STEP = Migration(
    name="rejects-severity",
    table="rejects",
    to=2,
    why="how bad it is; null in older rows",
    columns="severity int",
    constraints=("prox_severity",),
    properties=("delta.dataSkippingStatsColumns",),
)
LATER = dataclasses.replace(
    REJECTS,
    version=2,
    columns=f"{REJECTS.columns}, severity int",
    constraints={**REJECTS.constraints, "prox_severity": "severity IS NULL OR code <> 'LIGHT' OR severity < 9"},
    statistics=(*REJECTS.statistics, "severity"),
)
ROW = {"reject_id": "r", "doc_id": "d", "code": "EMPTY_TEXT", "stage": "ingest"}


@pytest.fixture
def old(spark: SparkSession, tmp_path: Path) -> Warehouse:
    """A table of version 1 with a row."""
    warehouse = Warehouse(spark, str(tmp_path / "old"))
    warehouse.ensure("rejects")
    warehouse.append("rejects", spark.createDataFrame([ROW], StructType(_fields("rejects", ROW))))
    return warehouse


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, old: Warehouse) -> None:
    """The code of version 2."""
    monkeypatch.setitem(TABLES, "rejects", LATER)
    monkeypatch.setattr(migrations, "MIGRATIONS", (STEP,))


def contents(warehouse: Warehouse) -> list[Row]:
    return warehouse.read("rejects").select(*REJECTS.schema.fieldNames()).collect()


def shape(spark: SparkSession, warehouse: Warehouse, table: str) -> tuple[dict[str, str], set[str]]:
    """Properties and columns, without how Delta writes down that it has to keep them, nor how it spaces a rule."""
    rows = spark.sql(f"SHOW TBLPROPERTIES {warehouse.name(table)}").collect()
    protocol = ("delta.feature.", "delta.minReaderVersion", "delta.minWriterVersion")
    found = {row["key"]: "".join(row["value"].split()) for row in rows if not row["key"].startswith(protocol)}
    return found, {f"{field.name} {field.dataType.simpleString()}" for field in warehouse.read(table).schema.fields}


def new(spark: SparkSession, folder: Path) -> Warehouse:
    """A table as this code creates it."""
    warehouse = Warehouse(spark, str(folder / "new"))
    warehouse.expect("rejects")
    warehouse.create_expected()
    return warehouse


@pytest.mark.usefixtures("later")
def test_an_old_table_is_migrated_and_says_the_same(spark: SparkSession, old: Warehouse, tmp_path: Path) -> None:
    before = contents(old)
    assert old.open_for_writing(LeaseConfig(), "test") == ["rejects-severity"]
    assert contents(old) == before
    assert old.read("rejects").first()["severity"] is None
    assert shape(spark, old, "rejects") == shape(spark, new(spark, tmp_path), "rejects")
    assert shape(spark, old, "rejects")[0][VERSION] == "2"


@pytest.mark.usefixtures("later")
def test_a_table_is_read_and_checked_without_being_migrated(spark: SparkSession, old: Warehouse) -> None:
    old.check_schemas()
    assert old.read("rejects").first()["severity"] is None
    assert "severity" not in spark.table(old.name("rejects")).columns


@pytest.mark.usefixtures("later")
def test_a_migration_that_was_killed_goes_on(spark: SparkSession, old: Warehouse, tmp_path: Path) -> None:
    spark.sql(f"ALTER TABLE {old.name('rejects')} ADD COLUMNS (severity int)")
    assert old.open_for_writing(LeaseConfig(), "test") == ["rejects-severity"]
    assert shape(spark, old, "rejects") == shape(spark, new(spark, tmp_path), "rejects")


@pytest.mark.usefixtures("later")
def test_rows_that_break_a_rule_stop_the_job_and_stay(spark: SparkSession, old: Warehouse) -> None:
    spark.sql(f"ALTER TABLE {old.name('rejects')} ADD COLUMNS (severity int)")
    spark.sql(
        f"INSERT INTO {old.name('rejects')} (reject_id, code, stage, severity) VALUES ('s', 'LIGHT', 'ingest', 9)"
    )
    with pytest.raises(TableError, match=r"MIGRATION_FAILED.*rejects-severity"):
        old.open_for_writing(LeaseConfig(), "test")
    assert old.read("rejects").count() == 2


def test_a_table_of_a_later_version_stops_a_job_of_older_code(spark: SparkSession, old: Warehouse) -> None:
    spark.sql(f"ALTER TABLE {old.name('rejects')} SET TBLPROPERTIES ('{VERSION}' = '99')")
    with pytest.raises(TableError, match=r"TABLE_NEWER.*rejects.*version 99"):
        old.open_for_writing(LeaseConfig(), "test")
    assert old.read("rejects").count() == 1


def test_runs_of_version_1_are_read_as_they_are_and_migrated(spark: SparkSession, tmp_path: Path) -> None:
    """The first step of a real table."""
    warehouse = Warehouse(spark, str(tmp_path / "w"))
    (step,) = (step for step in MIGRATIONS if step.table == "runs")
    added = {field.name for field in step.fields}
    first = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in RUNS.schema.fields if f.name not in added)
    spark.sql(f"CREATE TABLE {warehouse.name('runs')} ({first}) USING delta")
    spark.sql(f"INSERT INTO {warehouse.name('runs')} (run_id, stage, status) VALUES ('r', 'execute', 'DONE')")
    assert Warehouse(spark, str(tmp_path / "w")).read("runs").first()["writers"] is None
    assert warehouse.open_for_writing(LeaseConfig(), "test") == ["runs-lineage"]
    assert warehouse.read("runs").columns == RUNS.schema.fieldNames()
    assert warehouse.read("runs").first()["run_id"] == "r"
    assert shape(spark, warehouse, "runs")[0][VERSION] == "2"


def test_tables_of_a_schema_are_migrated_too(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    spark.sql("CREATE SCHEMA aged")
    try:
        spark.sql(f"CREATE TABLE aged.rejects ({REJECTS.columns}) USING delta")
        monkeypatch.setitem(TABLES, "rejects", LATER)
        monkeypatch.setattr(migrations, "MIGRATIONS", (STEP,))
        warehouse = Warehouse(spark, "catalog:aged")
        assert warehouse.open_for_writing(LeaseConfig(), "test") == ["rejects-severity"]
        assert "severity" in warehouse.read("rejects").columns
        assert warehouse.lease is not None
        warehouse.lease.release()
    finally:
        spark.sql("DROP SCHEMA aged CASCADE")


def test_documents_of_version_1_get_their_columns_and_rules(spark: SparkSession, tmp_path: Path) -> None:
    warehouse, new = Warehouse(spark, str(tmp_path / "w")), Warehouse(spark, str(tmp_path / "new"))
    rules = {name: rule for name, rule in DOCUMENTS.constraints.items() if not name.startswith("prox_version")}
    old = dataclasses.replace(
        DOCUMENTS,
        version=1,
        columns=DOCUMENTS.columns.partition(", html_extract")[0],
        constraints={**rules, "prox_text": "text IS NOT NULL"},
    )
    mine = [StructField("mine", StringType())]
    create_empty(spark, old, mine, path=str(tmp_path / "w" / "documents"))
    row = {"doc_id": "d", "doc_hash": "h", "text": "t", "bucket": 1}
    warehouse.append("documents", spark.createDataFrame([row], StructType(_fields("documents", row))))
    assert warehouse.open_for_writing(LeaseConfig(), "test") == ["documents-html-extract", "documents-text-place"]
    assert warehouse.open_for_writing(LeaseConfig(), "test") == []
    assert [field.name for field in warehouse.user_columns("documents")] == ["mine"]
    new.ensure("documents", mine)
    assert shape(spark, warehouse, "documents") == shape(spark, new, "documents")
    assert warehouse.read("documents").first()["text_place"] is None


@pytest.mark.parametrize("table", TABLES)
def test_every_version_has_the_step_that_leads_to_it(table: str) -> None:
    steps = sorted(step.to for step in MIGRATIONS if step.table == table)
    assert steps == list(range(2, TABLES[table].version + 1))
    assert all(step.why for step in MIGRATIONS)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_the_same_whether_its_first_rows_create_it_or_not(
    spark: SparkSession, tmp_path: Path, table: str
) -> None:
    one, other = Warehouse(spark, str(tmp_path / "one")), Warehouse(spark, str(tmp_path / "other"))
    one.ensure(table)
    other.expect(table)
    assert other.read(table).count() == 0
    assert not other.exists(table)
    other.append(table, other.read(table))
    assert other.exists(table)
    assert shape(spark, one, table) == shape(spark, other, table)
    assert len(list((tmp_path / "other" / table / "_delta_log").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("documents", {"doc_hash": "h", "text": "t", "bucket": 1}),
        ("documents", {"doc_id": "d", "doc_hash": "h", "bucket": 1}),
        ("documents", {"doc_id": "d", "doc_hash": "h", "text": "t", "bucket": schemas.BUCKETS}),
        ("documents", {"doc_id": "d", "doc_hash": "h", "text": "t"}),
        ("refined", {"outcome": "LOST"}),
        ("refined", {"outcome": "DROPPED"}),
        ("refined", {"outcome": "KEPT", "text": None}),
        ("refined", {"doc_id": None}),
        ("rejects", {"reject_id": "r", "code": "C"}),
    ],
)
def test_a_row_that_cannot_be_is_refused(
    spark: SparkSession, tmp_path: Path, table: str, row: dict[str, object]
) -> None:
    warehouse = Warehouse(spark, str(tmp_path / "w"))
    warehouse.ensure(table)
    if table == "refined":
        good = {
            "doc_id": "d",
            "doc_hash": "h",
            "text": "t",
            "outcome": "KEPT",
            "settings_hash": "s",
            "policy_hash": "p",
        }
        warehouse.append(table, spark.createDataFrame([good], StructType(_fields(table, good))))
        row = {**good, "doc_id": "e", **row}
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
        warehouse.append(table, spark.createDataFrame([row], StructType(_fields(table, row))))
    assert warehouse.read(table).count() == (table == "refined")


def _fields(table: str, row: dict[str, object]) -> list[object]:
    return [field for field in TABLES[table].schema.fields if field.name in row]


def test_statistics_are_of_columns_that_exist() -> None:
    for spec in TABLES.values():
        assert set(spec.statistics) <= set(spec.schema.fieldNames())
        assert set(spec.order) <= set(spec.statistics)
        assert dataclasses.replace(spec, one_writer=True).properties["delta.isolationLevel"] == "Serializable"
