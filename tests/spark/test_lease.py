"""Two jobs on the same tables: one is fenced off, and if the fence fails, Delta's log stops the second row."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from pyspark.sql import functions as F

from spark_prox.config.lease import LeaseConfig
from spark_prox.config.run import load_config
from spark_prox.errors import TableError
from spark_prox.jobkit import run
from spark_prox.pipeline import Pipeline
from spark_prox.warehouse.lease import acquire
from spark_prox.warehouse.lease_files import HadoopLeaseFiles, LocalLeaseFiles
from spark_prox.warehouse.lease_holder import this_process
from spark_prox.warehouse.marks import Marks
from spark_prox.warehouse.scratch import _PROBED, hadoop_path, lease_files
from spark_prox.warehouse.tables import Warehouse
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FAST = LeaseConfig(heartbeat_s=0.05, expire_s=1.5)

HOLDER = """
import sys, time
from spark_prox.warehouse.lease import acquire
from spark_prox.warehouse.lease_files import LocalLeaseFiles
from spark_prox.warehouse.lease_holder import LeaseConfig, this_process
acquire(LocalLeaseFiles(sys.argv[1]), this_process("spark_prox refine of somebody else", LeaseConfig()))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def warehouse(spark: SparkSession, tmp_path: Path) -> Warehouse:
    return Warehouse(spark, str(tmp_path / "w"))


@pytest.fixture
def elsewhere(warehouse: Warehouse) -> Callable[[], LocalLeaseFiles]:
    """Takes the lease for a job on another machine, whatever this process believes."""

    def take() -> LocalLeaseFiles:
        files = LocalLeaseFiles(f"{warehouse.location}/_lease")
        other = dataclasses.replace(this_process("far job", LeaseConfig()), host="far", machine="another boot")
        files.create("000000000099.json", other.as_bytes())
        return files

    return take


def document(doc_id: str, text: str = "some words") -> dict[str, object]:
    return {"doc_id": doc_id, "doc_hash": doc_id, "text": text, "bucket": 1}


def documents(spark: SparkSession, *ids: str) -> DataFrame:
    """Rows of `documents` in one partition: a write that is held up must leave a core to the other one."""
    columns = "doc_id string, doc_hash string, text string, bucket int"
    return spark.createDataFrame([document(name) for name in ids], columns).coalesce(1)


def stored_ids(warehouse: Warehouse) -> list[str]:
    return sorted(row["doc_id"] for row in warehouse.read("documents").collect())


@dataclasses.dataclass(frozen=True)
class WaitFor:
    """For `mapInPandas`: says that it runs, and passes rows on when a file is there."""

    folder: str

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        Path(self.folder, "running").touch()
        deadline = time.monotonic() + 60
        while not Path(self.folder, "go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield from batches


def in_the_middle_of(write: Callable[[], None], folder: Path, act: Callable[[], None]) -> Exception | None:
    """Do something while a write that `WaitFor` holds up is running; what the write raised."""
    raised: list[Exception] = []

    def attempt() -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 - the test says which one it expects
            raised.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    deadline = time.monotonic() + 60
    while not (folder / "running").exists() and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (folder / "running").exists(), raised
    act()
    (folder / "go").touch()
    thread.join()
    return raised[0] if raised else None


def refine(repository: Path, model: Path, folder: Path) -> int:
    (folder / "pages.jsonl").write_text('{"text": "Some text of a page.", "url": "https://a.example/"}\n')
    spec = importlib.util.spec_from_file_location("refine_job", repository / "jobs" / "refine.py")
    assert spec is not None
    assert spec.loader is not None
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    arguments = ["--input", f"{folder}/pages.jsonl", "--input-format", "jsonl", "--warehouse", f"{folder}/w"]
    return run(job.PARSER, job.refine, [*arguments, "--set", f"model.path={model}", "--set", "model.engine=scripted"])


def test_a_second_job_is_one_line_with_a_code_and_writes_nothing_and_the_next_one_runs(
    spark: SparkSession, repository: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "w" / "_lease")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        assert refine(repository, model, tmp_path) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[SPARK_PROX.")]
        assert line.startswith("[SPARK_PROX.WAREHOUSE_BUSY]")
        assert "spark_prox refine of somebody else" in line
        assert f"process {holder.pid}" in line
        assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["_lease"]
        # Reading and checking an installation need no lease.
        reader = Warehouse(spark, str(tmp_path / "w"))
        reader.check_writable()
        reader.check_schemas()
        with reader.staged(spark.range(3), "doctor") as rows:
            assert rows.count() == 3
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert refine(repository, model, tmp_path) == 0


def test_a_job_that_lost_its_lease_stops_before_it_writes(
    spark: SparkSession, warehouse: Warehouse, elsewhere: Callable[[], LocalLeaseFiles]
) -> None:
    warehouse.open_for_writing(LeaseConfig(), "test")
    warehouse.ensure("documents")
    warehouse.append("documents", documents(spark, "a"))
    elsewhere()
    for write in (
        lambda: warehouse.append("documents", documents(spark, "b")),
        lambda: warehouse.upsert("documents", documents(spark, "a")),
        lambda: warehouse.delete("documents", documents(spark, "a").select("doc_id"), ["doc_id"]),
        lambda: warehouse.ensure("rejects"),
    ):
        with pytest.raises(TableError, match=r"LEASE_LOST.*far job on far"):
            write()
    assert stored_ids(Warehouse(spark, warehouse.location)) == ["a"]
    with pytest.raises(TableError, match="WAREHOUSE_BUSY"):
        warehouse.open_for_writing(LeaseConfig(), "test")


def test_a_job_that_loses_its_lease_in_the_middle_of_a_write_is_stopped_there(
    spark: SparkSession, warehouse: Warehouse, elsewhere: Callable[[], LocalLeaseFiles], tmp_path: Path
) -> None:
    warehouse.open_for_writing(FAST, "test")
    warehouse.ensure("documents")
    rows = documents(spark, "a").mapInPandas(WaitFor(str(tmp_path)), documents(spark, "a").schema)

    def lose() -> None:
        elsewhere()
        time.sleep(1)

    error = in_the_middle_of(lambda: warehouse.append("documents", rows), tmp_path, lose)
    assert isinstance(error, TableError)
    assert error.code == "LEASE_LOST"
    assert stored_ids(Warehouse(spark, warehouse.location)) == []


@pytest.mark.parametrize("table", ["documents", "refined"])
def test_two_writers_without_a_fence_cannot_store_a_document_twice(
    spark: SparkSession, warehouse: Warehouse, tmp_path: Path, table: str
) -> None:
    warehouse.ensure("documents")
    warehouse.ensure("refined")
    one = documents(spark, "a")
    if table == "refined":
        constants = {"outcome": "KEPT", "settings_hash": "s", "policy_hash": "p"}
        one = one.drop("bucket").withColumns({name: F.lit(value) for name, value in constants.items()})
    slow = one.mapInPandas(WaitFor(str(tmp_path)), one.schema)
    other = Warehouse(spark, warehouse.location)
    error = in_the_middle_of(lambda: warehouse.append(table, slow), tmp_path, lambda: other.append(table, one))
    assert isinstance(error, TableError)
    assert error.code == "WAREHOUSE_CONFLICT"
    assert warehouse.read(table).count() == 1


def test_one_writer_after_the_other_does_not_conflict(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.ensure("documents")
    warehouse.append("documents", documents(spark, "a"))
    Warehouse(spark, warehouse.location).append("documents", documents(spark, "b"))
    warehouse.append("documents", documents(spark, "c"))
    assert stored_ids(warehouse) == ["a", "b", "c"]


def test_what_killed_jobs_left_is_deleted_by_the_next_one_that_writes(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    folder = Path(warehouse.location)
    warehouse.ensure("documents")
    spark.range(3).write.format("delta").save(f"{folder}/_staging/ingest-0123456789ab")
    marks = Marks(spark, f"{folder}/_staging")
    for name in ("ingest-0123456789ab", "refined-aaaaaaaaaaaa", "doctor-000000000000", "doctor-111111111111"):
        (folder / "_staging" / name / "part").mkdir(parents=True, exist_ok=True)
        marks.set(name)
    marks.set("lost-222222222222")  # killed before it wrote anything
    os.utime(folder / "_staging" / "doctor-000000000000.spark_prox", (0, 0))
    (folder / "_probe-0123").write_bytes(_PROBED)
    (folder / "somebody-elses").touch()
    warehouse.open_for_writing(LeaseConfig(), "test")
    left = sorted(path.name for path in (folder / "_staging").iterdir() if not path.name.endswith(".crc"))
    assert left == ["doctor-111111111111", "doctor-111111111111.spark_prox"]
    assert sorted(path.name for path in folder.iterdir()) == ["_lease", "_staging", "documents", "somebody-elses"]
    # Later runs of the same process may have rows of their own there.
    with warehouse.staged(spark.range(3), "ingest") as rows:
        Warehouse(spark, warehouse.location).open_for_writing(LeaseConfig(), "test")
        assert rows.count() == 3


def test_a_schema_of_the_catalog_has_its_lease_in_its_own_folder(spark: SparkSession) -> None:
    spark.sql("CREATE SCHEMA leased")
    try:
        warehouse = Warehouse(spark, "catalog:leased")
        name = "_staging_ingest_0123456789ab"
        rows = spark.range(2).writeTo(f"leased.{name}").using("delta")
        rows.tableProperty("spark_prox.scratch", name).create()
        warehouse.open_for_writing(LeaseConfig(), "test")
        assert warehouse.lease is not None
        assert warehouse.lease.files.folder.endswith("leased.db/_spark_prox_lease")
        assert Path(warehouse.lease.files.folder).is_dir()
        # Views of the session are listed with every schema.
        assert [table.name for table in spark.catalog.listTables("leased") if not table.isTemporary] == []
        warehouse.lease.release()
    finally:
        spark.sql("DROP SCHEMA leased CASCADE")


def test_the_lease_can_lie_elsewhere(spark: SparkSession, warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.open_for_writing(LeaseConfig(path=str(tmp_path / "leases")), "test")
    assert len(list((tmp_path / "leases").iterdir())) == 1
    with pytest.raises(TableError, match=r"WAREHOUSE_NO_LEASE.*lease\.path"):
        lease_files(spark, "")


def test_the_lease_works_through_hadoop(spark: SparkSession, tmp_path: Path) -> None:
    """On the local file system here; HDFS and object stores are reached through the same calls."""
    system, path = hadoop_path(spark, f"file:{tmp_path}/leases")
    files = HadoopLeaseFiles(f"file:{tmp_path}/leases", path, system, spark._jvm)
    other = dataclasses.replace(this_process("far job", FAST), host="far", machine="another boot")
    first = acquire(files, other)
    assert files.create("000000000001.json", b"") is False
    time.sleep(4 * FAST.heartbeat_s)
    first.check()
    with pytest.raises(TableError, match=r"WAREHOUSE_BUSY.*far job"):
        acquire(files, this_process("me", FAST))
    first.release()
    second = acquire(files, this_process("me", FAST))
    assert files.names() == ["000000000002.json"]
    second.release()


def test_a_pipeline_takes_the_lease_when_it_writes_and_not_when_it_looks(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "pages.jsonl").write_text('{"text": "Some text of a page."}\n')
    config = load_config(
        None,
        [f"model.path={model}", "model.engine=scripted"],
        {"warehouse": str(tmp_path / "w"), "input.path": str(tmp_path / "pages.jsonl"), "input.format": "jsonl"},
    )
    pipeline = Pipeline(config, FUNCTIONS, name="test")
    assert not (tmp_path / "w" / "_lease").exists()
    pipeline.ingest()
    assert len(list((tmp_path / "w" / "_lease").glob("*.json"))) == 1
