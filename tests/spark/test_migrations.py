"""Tables of earlier versions: migrated when a job may write, with every row as it was."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql.types import StructType

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse import schemas
from spark_prox.warehouse.migrations import MIGRATIONS, VERSION
from spark_prox.warehouse.schemas import EDIT_TYPE, TABLES
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished
from tests.spark.runs import pipeline, refine, scripted

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

VERSION_1 = {
    "documents": (
        "doc_id string, doc_hash string, url string, text string, source string, crawl string, "
        "path string, position long, bucket int, ingested_by string, ingested_at timestamp"
    ),
    "programs": (
        "doc_id string, doc_hash string, stage string, chunk_index int, chunk_count int, first_line int, "
        "line_count int, program string, status string, detail string, finish_reason string, margin double, "
        "line_margins array<float>, prompt_tokens long, output_tokens long, model string, model_revision string, "
        "template string, template_hash string, generation_hash string, engine string, engine_id string, "
        "run_id string, generated_at timestamp"
    ),
    "refined": (
        "doc_id string, doc_hash string, url string, text string, outcome string, reason string, "
        f"doc_reason string, doc_margin double, edits {EDIT_TYPE}, calls int, program_errors int, chunks int, "
        "failed_chunks int, refused_chunks int, "
        "lines_before long, lines_after long, words_before long, words_after long, chars_before long, "
        "chars_after long, tokens_before long, tokens_after long, source string, crawl string, "
        "policy string, policy_hash string, settings_hash string, run_id string, refined_at timestamp"
    ),
    "rejects": (
        "reject_id string, doc_id string, url string, code string, detail string, stage string, path string, "
        "position long, source string, crawl string, attempts int, run_id string, rejected_at timestamp"
    ),
    "runs": (
        "run_id string, stage string, status string, error string, started_at timestamp, finished_at timestamp, "
        "seconds double, documents long, skipped long, rejects long, programs long, prompt_tokens long, "
        "output_tokens long, flop double, settings_hash string, config string, versions map<string,string>"
    ),
}
"""The tables of spark_prox 0.1, which say no version."""


@pytest.fixture(scope="module")
def aged(spark: SparkSession, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of the finished run in the tables of version 1."""
    folder = tmp_path_factory.mktemp("aged")
    new = Warehouse(spark, str(finished.warehouse))
    for name, columns in VERSION_1.items():
        core = StructType.fromDDL(columns)
        fields = [*core.fields, *(new.user_columns(name) if TABLES[name].user_columns else [])]
        builder = DeltaTable.createIfNotExists(spark).location(str(folder / name)).addColumns(StructType(fields))
        builder.property("spark_prox.table", name).property("delta.enableChangeDataFeed", "true").execute()
        rows = new.read(name).select(*(field.name for field in fields))
        rows.write.format("delta").mode("append").save(str(folder / name))
    return folder


@pytest.fixture
def old(spark: SparkSession, aged: Path, tmp_path: Path) -> Warehouse:
    """A copy of them."""
    shutil.copytree(aged, tmp_path / "old")
    return Warehouse(spark, str(tmp_path / "old"))


def contents(warehouse: Warehouse, table: str) -> list[Row]:
    """The rows of a table in the columns that version 1 has."""
    columns = StructType.fromDDL(VERSION_1[table]).fieldNames()
    return sorted(warehouse.read(table).select(*columns).collect(), key=str)


def shape(spark: SparkSession, warehouse: Warehouse, table: str) -> tuple[dict[str, str], set[str]]:
    """Properties and columns, without how Delta writes down that it has to keep them, nor how it spaces a rule."""
    rows = spark.sql(f"SHOW TBLPROPERTIES {warehouse.name(table)}").collect()
    protocol = ("delta.feature.", "delta.minReaderVersion", "delta.minWriterVersion")
    found = {row["key"]: "".join(row["value"].split()) for row in rows if not row["key"].startswith(protocol)}
    return found, {f"{field.name} {field.dataType.simpleString()}" for field in warehouse.read(table).schema.fields}


def test_old_tables_are_migrated_and_say_the_same(
    spark: SparkSession, tiny_llama: Path, finished: Finished, old: Warehouse
) -> None:
    before = {name: contents(old, name) for name in VERSION_1}
    assert (len(before["documents"]), len(before["refined"])) == (31, 30)
    pipe = pipeline(old.location, finished.source, *scripted(tiny_llama), id_column="id")
    refine(pipe)
    for name in ("documents", "programs", "refined", "rejects"):
        assert contents(old, name) == before[name], name
    assert [row for row in contents(old, "runs") if row["run_id"] != pipe.log.run_id] == before["runs"]
    new = Warehouse(spark, str(finished.warehouse))
    for name in VERSION_1:
        assert shape(spark, old, name) == shape(spark, new, name), name
    assert {row["attempts"] for row in old.read("programs").collect()} == {None}


def test_a_table_is_read_and_checked_without_being_migrated(spark: SparkSession, old: Warehouse) -> None:
    old.check_schemas()
    assert old.read("refined").count() == 30
    assert {row["attempts"] for row in old.read("programs").collect()} == {None}
    assert "attempts" not in spark.table(old.name("programs")).columns


def test_a_migration_that_was_killed_goes_on(spark: SparkSession, finished: Finished, old: Warehouse) -> None:
    name = old.name("programs")
    spark.sql(f"ALTER TABLE {name} ADD COLUMNS (attempts int)")
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{VERSION}' = '2')")
    rule = TABLES["programs"].constraints["prox_key"]
    spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT prox_key CHECK ({rule})")
    done = old.open_for_writing(LeaseConfig(), "test")
    assert "programs-constraints" in done
    assert "programs-attempts" not in done
    assert shape(spark, old, "programs") == shape(spark, Warehouse(spark, str(finished.warehouse)), "programs")


def test_rows_that_break_a_rule_stop_the_job_and_stay(spark: SparkSession, old: Warehouse) -> None:
    spark.sql(f"INSERT INTO {old.name('rejects')} (reject_id, code) VALUES ('r', 'X')")
    with pytest.raises(TableError, match=r"MIGRATION_FAILED.*rejects-constraints"):
        old.open_for_writing(LeaseConfig(), "test")
    assert old.read("rejects").count() == 6


def test_a_table_of_a_later_version_stops_a_job_of_older_code(
    spark: SparkSession, tiny_llama: Path, old: Warehouse, tmp_path: Path
) -> None:
    spark.sql(f"ALTER TABLE {old.name('refined')} SET TBLPROPERTIES ('{VERSION}' = '99')")
    with pytest.raises(TableError, match=r"TABLE_NEWER.*refined.*version 99"):
        pipeline(old.location, None, *scripted(tiny_llama))
    assert not (tmp_path / "old" / "_lease").exists()


def test_tables_of_a_schema_are_migrated_too(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA aged")
    try:
        spark.sql(f"CREATE TABLE aged.programs ({VERSION_1['programs']}) USING delta")
        warehouse = Warehouse(spark, "catalog:aged")
        assert warehouse.open_for_writing(LeaseConfig(), "test") == ["programs-attempts", "programs-constraints"]
        assert "attempts" in warehouse.read("programs").columns
        assert warehouse.lease is not None
        warehouse.lease.release()
    finally:
        spark.sql("DROP SCHEMA aged CASCADE")


@pytest.mark.parametrize("table", VERSION_1)
def test_every_version_has_the_step_that_leads_to_it(table: str) -> None:
    steps = sorted(step.to for step in MIGRATIONS if step.table == table)
    assert steps == list(range(2, TABLES[table].version + 1))
    assert all(step.why for step in MIGRATIONS)


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
