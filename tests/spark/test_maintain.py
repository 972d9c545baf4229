"""`jobs/maintain.py`: fewer files, the same rows, the layout that portions rely on."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.run import load_config
from spark_prox.jobkit import run
from spark_prox.pipeline import Pipeline
from spark_prox.warehouse.maintenance import Maintenance
from spark_prox.warehouse.schemas import BUCKETS, TABLES
from spark_prox.warehouse.tables import Warehouse
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETS = ("model.engine=scripted", "model.script=remove_lines(start=0, end=0)")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def job(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("maintain_job", repository / "jobs" / "maintain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pipeline(model: Path, folder: Path, texts: dict[str, str], sets: Sequence[str] = ()) -> Pipeline:
    file = folder / "pages.jsonl"
    file.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    config = load_config(
        None,
        [f"model.path={model}", *SETS, *sets],
        {
            "warehouse": str(folder / "w"),
            "input.path": str(file),
            "input.format": "jsonl",
            "input.id_column": "id",
        },
    )
    return Pipeline(config, FUNCTIONS, name="test")


def pages(first: int, stop: int) -> dict[str, str]:
    return {f"d{n}": f"Menu\nPage {n} has a sentence that is long enough to stay." for n in range(first, stop)}


def rows(warehouse: Warehouse) -> dict[str, list[str]]:
    return {name: sorted(map(str, warehouse.read(name).collect())) for name in TABLES if warehouse.exists(name)}


def tasks_of_stages(spark: SparkSession, group: str) -> list[int]:
    status = spark.sparkContext.statusTracker()
    jobs = [status.getJobInfo(job) for job in status.getJobIdsForGroup(group)]
    stages = [status.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
    return [stage.numTasks for stage in stages if stage is not None]


def test_files_are_packed_and_every_row_stays(
    spark: SparkSession, model: Path, job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for crawl in range(3):
        pipe = pipeline(model, tmp_path, pages(20 * crawl, 20 * crawl + 20))
        pipe.ingest()
        pipe.generate("doc")
        pipe.generate("chunk")
        pipe.execute()
    warehouse = pipe.warehouse
    before, work = rows(warehouse), Maintenance(spark, warehouse, list(TABLES))
    sizes = work.sizes()
    assert sizes["documents"].files >= 3
    arguments = ["--warehouse", warehouse.location, "--set", f"model.path={model}"]
    assert run(job.PARSER, job.maintain, arguments) == 0
    assert rows(warehouse) == before
    after = work.sizes()
    assert all(after[name].files == 1 for name in ("documents", "programs", "refined", "runs"))
    # A week of old versions stays for those who read them.
    assert all(after[name].stored > sizes[name].stored for name in ("documents", "programs", "refined"))
    assert spark.read.format("delta").option("versionAsOf", 1).load(f"{warehouse.location}/documents").count() > 0
    assert "stored after" in capsys.readouterr().out
    assert work.optimize() == []

    assert run(job.PARSER, job.maintain, [*arguments, "--retention-hours", "0"]) == 2
    assert "[SPARK_PROX.RETENTION_SHORT]" in capsys.readouterr().err
    group = "vacuum"
    spark.sparkContext.setJobGroup(group, group)
    assert run(job.PARSER, job.maintain, [*arguments, "--retention-hours", "0", "--short-retention"]) == 0
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


def test_superseded_programs_are_counted_and_then_purged(
    spark: SparkSession, model: Path, job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = pages(0, 10)
    old = pipeline(model, tmp_path, texts, ["chunk.model.script=keep_chunk()"])
    old.ingest()
    old.generate("doc")
    old.generate("chunk")
    new = pipeline(model, tmp_path, {**texts, "d3": "Menu\nAnother text of this page, long enough to stay."})
    new.ingest()
    new.generate("doc")
    new.generate("chunk")
    new.execute()
    refined = rows(new.warehouse)["refined"]
    assert new.warehouse.read("programs").count() == 20 + 1 + 10
    arguments = ["--warehouse", new.warehouse.location, "--set", f"model.path={model}", "--purge-programs"]
    arguments += [word for setting in SETS for word in ("--set", setting)]
    assert run(job.PARSER, job.maintain, [*arguments, "--dry-run"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in shown if "changed" in line] == ["1", "1"]
    assert [line[-1] for line in shown if "other" in line] == ["9"]
    assert new.warehouse.read("programs").count() == 31
    assert run(job.PARSER, job.maintain, arguments) == 0
    assert new.warehouse.read("programs").count() == 20
    again = pipeline(model, tmp_path, {**texts, "d3": "Menu\nAnother text of this page, long enough to stay."})
    again.generate("doc")
    again.generate("chunk")
    again.execute()
    assert rows(again.warehouse)["refined"] == refined
    assert again.warehouse.read("programs").count() == 20


def test_a_table_that_does_not_exist_is_named(
    spark: SparkSession, job: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(job.PARSER, job.maintain, ["--warehouse", str(tmp_path / "w"), "--tables", "refind"]) == 2
    assert "[SPARK_PROX.TABLE_UNKNOWN] There is no table 'refind'" in capsys.readouterr().err
