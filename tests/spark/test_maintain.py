"""`jobs/maintain.py`: fewer files, the same rows, the layout that batches rely on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_prox.config.run import load_config
from spark_prox.pipeline import STAGES, Pipeline
from spark_prox.report.run_report import tables_report
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.portions import bucket_of, programs_between
from spark_prox.stages.removal import remove_documents
from spark_prox.warehouse.maintenance import Maintenance
from spark_prox.warehouse.schemas import BUCKETS, PROGRAMS, TABLES, VERDICTS, TableSpec
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished
from tests.spark.runs import SMALL_BATCHES, pipeline, refine, run_job, scripted
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def rows(warehouse: Warehouse) -> dict[str, list[str]]:
    return {name: sorted(map(str, warehouse.read(name).collect())) for name in TABLES if warehouse.exists(name)}


def tasks_of_stages(spark: SparkSession, group: str) -> list[int]:
    status = spark.sparkContext.statusTracker()
    jobs = [status.getJobInfo(job) for job in status.getJobIdsForGroup(group)]
    stages = [status.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
    return [stage.numTasks for stage in stages if stage is not None]


def test_files_are_packed_and_every_row_stays(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = Warehouse(spark, str(finished.copy(tmp_path)[0]))
    keys = {"documents": "doc_id", "programs": "doc_id", "verdicts": "doc_id"}
    known = {"stage": "'rules'", "verdict": "'keep'", "settings_hash": "'h'", "keys": "array(cast('key' AS binary))"}
    known |= {"doc_id": "doc_id", "doc_hash": "doc_hash"}
    warehouse.ensure("verdicts")
    given = (f"cast({known.get(f.name, 'null')} AS {f.dataType.simpleString()}) {f.name}" for f in VERDICTS.schema)
    warehouse.append("verdicts", warehouse.read("documents").selectExpr(*given))
    # Two more crawls, as two more runs would have stored them.
    for crawl in range(2):
        for table, key in keys.items():
            more = warehouse.read(table).where(f"{key} NOT LIKE 'crawl%'")
            more = more.withColumn(key, F.concat(F.lit(f"crawl{crawl}-"), key))
            warehouse.append(table, more.coalesce(1))
    before, work = rows(warehouse), Maintenance(spark, warehouse, list(keys))
    sizes = work.sizes()
    assert sizes["documents"].files >= 3
    arguments = ["--warehouse", warehouse.location, "--set", f"model.path={tiny_llama}", "--tables", ",".join(keys)]
    assert run_job("maintain", *arguments) == 0
    assert rows(warehouse) == before
    after = work.sizes()
    assert all(after[name].files == 1 for name in keys)
    # A week of old versions stays for those who read them.
    assert all(after[name].stored > sizes[name].stored for name in ("documents", "programs"))
    assert spark.read.format("delta").option("versionAsOf", 1).load(f"{warehouse.location}/documents").count() > 0
    assert "stored after" in capsys.readouterr().out
    assert work.optimize() == []

    assert run_job("maintain", *arguments, "--retention-hours", "0") == 2
    assert "[SPARK_PROX.RETENTION_SHORT]" in capsys.readouterr().err
    group = "vacuum"
    spark.sparkContext.setJobGroup(group, group)
    assert run_job("maintain", *arguments, "--retention-hours", "0", "--short-retention") == 0
    # Delta's own default is a listing of 10,000 tasks for each table.
    assert 0 < max(tasks_of_stages(spark, group)) < 100
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    assert work.sizes()["documents"].stored < after["documents"].stored
    assert rows(warehouse) == before


def test_packing_keeps_files_to_ranges_of_buckets(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path / "w"))
    warehouse.ensure("documents")
    for crawl in range(3):
        ids = spark.range(crawl * 4000, crawl * 4000 + 4000).selectExpr("cast(id AS string) AS doc_id")
        documents = ids.selectExpr(
            "doc_id",
            "doc_id AS doc_hash",
            "sha2(doc_id, 512) AS text",
            f"cast(pmod(xxhash64(doc_id), {BUCKETS}) AS int) AS bucket",
        )
        warehouse.append("documents", documents.repartitionByRange(4, "bucket"))
    size = {f"spark.databricks.delta.optimize.{which}FileSize": "250000" for which in ("max", "min")}
    for key, value in size.items():
        spark.conf.set(key, value)
    try:
        assert Maintenance(spark, warehouse, ["documents"]).optimize() == ["documents"]
    finally:
        for key in size:
            spark.conf.unset(key)
    found = warehouse.read("documents").groupBy("_metadata.file_name").agg({"bucket": "min", "doc_id": "count"})
    highest = warehouse.read("documents").groupBy("_metadata.file_name").agg({"bucket": "max"})
    ranges = sorted((row["min(bucket)"], row["max(bucket)"]) for row in found.join(highest, "file_name").collect())
    assert 3 <= len(ranges) < 12
    # Delta cuts at sampled values, to which it adds noise: neighbours may share a little.
    assert all(left[1] - right[0] < BUCKETS / 100 for left, right in itertools.pairwise(ranges)), ranges
    assert warehouse.read("documents").count() == 12_000


def test_a_portion_opens_the_files_of_its_own_programs_and_those_of_before_there_were_buckets(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Delta leaves files out by its statistics: only a real table shows which."""
    warehouse = Warehouse(spark, str(tmp_path / "w"))
    warehouse.ensure("programs")
    schema, half = PROGRAMS.schema, BUCKETS // 2
    common = {"stage": "chunk", "model_revision": "r", "template_hash": "t", "generation_hash": "g", "status": "OK"}
    given = spark.range(400).select(F.col("id").cast("string").alias("doc_id"), F.lit("h").alias("doc_hash"))
    rows = given.withColumns({name: F.lit(value) for name, value in common.items()} | {"chunk_index": F.lit(0)})
    rows = rows.withColumn("bucket", bucket_of("doc_id"))
    empty = [field for field in schema.fields if field.name not in rows.columns]
    rows = rows.withColumns({field.name: F.lit(None).cast(field.dataType) for field in empty})
    rows = rows.select(*schema.fieldNames()).persist()
    for part in ("bucket < 20000", f"bucket >= 20000 AND bucket < {half}", f"bucket >= {half}"):
        warehouse.append("programs", rows.where(part).coalesce(1))
    warehouse.append("programs", rows.limit(8).withColumn("bucket", F.lit(None).cast("int")).coalesce(1))

    def opened(first: int, stop: int) -> tuple[int, int]:
        """Files, and rows that are found in them."""
        found = warehouse.read("programs").where(programs_between(first, stop)).select("doc_id", "program")
        count = len(found.collect())
        scan = found._jdf.queryExecution().executedPlan().collectLeaves().head()
        return int(scan.metrics().apply("numFiles").value()), count

    asked = [(0, 20_000), (20_000, half), (half, BUCKETS), (100, BUCKETS - 1)]
    wanted = [rows.where((F.col("bucket") >= first) & (F.col("bucket") < stop)).count() for first, stop in asked]
    old = [rows.limit(8).where((F.col("bucket") >= a) & (F.col("bucket") < b)).count() for a, b in asked]
    assert [opened(*both) for both in asked] == [
        (2 if at < 3 else 4, count + of_old) for at, (count, of_old) in enumerate(zip(wanted, old, strict=True))
    ]


@pytest.mark.slow
def test_superseded_programs_are_counted_and_then_purged(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document has changed since the finished run, and the chunk model too."""
    warehouse, original = finished.copy(tmp_path)
    source = tmp_path / "changed.jsonl"
    source.write_text(original.read_text().replace("Contact 7", "Contact seven"))
    sets = (*scripted(tiny_llama), "chunk.model.script=keep_chunk()")
    new = pipeline(warehouse, source, *sets, id_column="id")
    refine(new)
    refined = rows(new.warehouse)["refined"]
    current = 31 + 31 + 4  # of each stage one for a document, and four have two chunks
    assert new.warehouse.read("programs").count() == current + 1 + (31 + 4)
    arguments = ["--warehouse", new.warehouse.location, "--purge-programs"]
    arguments += [word for setting in sets for word in ("--set", setting)]
    assert run_job("maintain", *arguments, "--dry-run") == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in shown if "changed" in line] == ["1", "1"]
    assert [line[-1] for line in shown if "other" in line] == ["34"]
    assert new.warehouse.read("programs").count() == current + 36
    assert run_job("maintain", *arguments) == 0
    assert new.warehouse.read("programs").count() == current
    assert rows(new.warehouse)["refined"] == refined
    plan = pipeline(warehouse, source, *sets, writes=False, id_column="id").plan()
    assert [line.documents for line in plan if line.stage.startswith("generate")] == [0, 0]  # all that counts is there


NOTES = TableSpec(
    name="notes", columns="doc_id string, doc_hash string, note string", key=("doc_id",), of_document="true"
)


class TakeNotes(Stage):
    """A stage that nobody has heard of, with a table of its own."""

    name = "notes"
    reads = ("documents",)
    writes = ("notes",)

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        with run.log.stage(self.name, run.settings) as figures:
            run.warehouse.expect("notes")
            documents = run.warehouse.read("documents").select("doc_id", "doc_hash", F.lit("seen").alias("note"))
            run.warehouse.append("notes", documents)
            figures.documents = documents.count()


@pytest.mark.slow
def test_the_table_of_a_new_stage_is_packed_cleaned_counted_and_left_by_removed_documents(
    finished: Finished,
    tiny_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing but its `TableSpec` and its stage names the table. Delta does the work, so no unit test would do."""
    monkeypatch.setitem(TABLES, "notes", NOTES)
    folder, _ = finished.copy(tmp_path)
    config = load_config(None, [SMALL_BATCHES, *scripted(tiny_llama)], {"warehouse": str(folder)})
    pipe = Pipeline(config, FUNCTIONS, name="test", stages=(*STAGES, TakeNotes()))
    with pipe.phase():
        for _ in range(2):  # two files, as two runs would leave
            TakeNotes().run(pipe.run)
    assert [line.split()[:2] for line in tables_report(pipe.warehouse).splitlines() if "notes" in line] == [
        ["notes", "62"]
    ]
    work = Maintenance(pipe.spark, pipe.warehouse, list(TABLES))
    assert work.sizes()["notes"].files == 2
    arguments = [
        "--warehouse",
        str(folder),
        "--tables",
        ",".join(TABLES),
        "--retention-hours",
        "0",
        "--short-retention",
    ]
    assert run_job("maintain", *arguments, "--set", f"model.path={tiny_llama}") == 0
    assert work.sizes()["notes"].files == 1
    assert len(list((folder / "notes").glob("*.parquet"))) == 1  # the two files are gone
    assert "notes" in capsys.readouterr().out

    with pipe.warehouse.staged(pipe.warehouse.read("documents").select("doc_id").limit(3), "gone") as gone:
        assert remove_documents(pipe.run, gone) == 3
    assert pipe.warehouse.read("notes").count() == 62 - 2 * 3


def test_a_table_that_does_not_exist_is_named(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_job("maintain", "--warehouse", str(tmp_path / "w"), "--tables", "refind") == 2
    assert "[SPARK_PROX.TABLE_UNKNOWN] There is no table 'refind'" in capsys.readouterr().err
