"""Whole runs on HDFS: input, warehouse and lease, read on the executors by Hadoop's own client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.warehouse.lease_files import HadoopLeaseFiles
from spark_prox.warehouse.scratch import hadoop_path, lease_files
from spark_prox.warehouse.tables import Warehouse
from tests.cloud.hadoop import MiniHadoop, mini_hadoop
from tests.cloud.processes import CLOUD
from tests.spark.runs import run_job, scripted, write_lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = " ".join(f"word{n}" for n in range(20))


@pytest.fixture(scope="module")
def hdfs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniHadoop]:
    """HDFS as the session's default file system."""
    if not (CLOUD / "jars" / "hadoop" / ".complete").is_file():
        pytest.skip("Hadoop's mini cluster is not there: make test-cloud fetches it")
    configuration = spark._jsc.hadoopConfiguration()
    with mini_hadoop(tmp_path_factory.mktemp("hdfs"), "hdfs") as running:
        before = configuration.get("fs.defaultFS")
        configuration.set("fs.defaultFS", running.url)
        yield running
        configuration.set("fs.defaultFS", before)


def put(spark: SparkSession, file: Path, target: str) -> None:
    files, path = hadoop_path(spark, target)
    files.copyFromLocalFile(spark._jvm.org.apache.hadoop.fs.Path(f"file:{file}"), path)


def refine(model: Path, source: str, kind: str, *more: str) -> int:
    settings = [word for setting in scripted(model) for word in ("--set", setting)]
    where = ("--input", source, "--input-format", kind, "--warehouse", "hdfs:///data/spark_prox")
    return run_job("refine", *where, *settings, *more)


def test_a_whole_run_lies_on_hdfs(
    spark: SparkSession, hdfs: MiniHadoop, repository: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    put(spark, repository / "examples" / "pages.warc.wet.gz", "hdfs:///crawl/pages.warc.wet.gz")
    assert refine(tiny_llama, "hdfs:///crawl/*.wet.gz", "wet") == 0
    tables = Warehouse(spark, "hdfs:///data/spark_prox")
    assert tables.location == f"{hdfs.url}/data/spark_prox"
    refined, rejects = tables.read("refined").count(), tables.read("rejects").count()
    assert (refined, rejects) == (46, 0)
    assert refine(tiny_llama, "hdfs:///crawl/*.wet.gz", "wet") == 0
    assert tables.read("refined").count() == 46


def test_lines_and_tables_on_hdfs_are_read_whatever_they_are_called(
    spark: SparkSession, hdfs: MiniHadoop, tiny_llama: Path, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = write_lines(tmp_path / "l", [{"id": "line", "text": f"Home\n{WORDS}\n{WORDS} 1"}])
    put(spark, lines, "hdfs:///odd/a b/one+two é.jsonl")
    pq.write_table(pa.table({"id": ["row"], "text": [f"Home\n{WORDS}\n{WORDS} 2"]}), tmp_path / "t")
    put(spark, tmp_path / "t", "hdfs:///odd-tables/x y%z.parquet")
    assert refine(tiny_llama, "hdfs:///odd", "jsonl", "--id-column", "id") == 0
    assert refine(tiny_llama, "hdfs:///odd-tables", "parquet", "--id-column", "id") == 0
    ids = {row["doc_id"] for row in Warehouse(spark, "hdfs:///data/spark_prox").read("refined").collect()}
    assert {"line", "row"} <= ids


def test_of_simultaneous_creators_on_hdfs_one_wins(spark: SparkSession, hdfs: MiniHadoop) -> None:
    def create(number: int) -> bool:
        files = lease_files(spark, "hdfs:///race/_lease")
        assert isinstance(files, HadoopLeaseFiles)
        assert files.settle_s == 0
        return files.create("000000000001.json", f"{number}".encode())

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(6))) == [False] * 5 + [True]
