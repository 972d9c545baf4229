"""Whole runs on HDFS: input, warehouse, lease and exports, through Hadoop's own client on driver and executors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox import model_store
from spark_prox.sources.frames.archive_source import register_sources
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


def test_a_model_on_hdfs_is_fetched_by_driver_and_executors(
    spark: SparkSession,
    hdfs: MiniHadoop,
    repository: Path,
    tiny_llama: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without libhdfs; the executors' cache is another folder than the driver's, as on another machine."""
    for file in tiny_llama.iterdir():
        put(spark, file, f"hdfs:///models/tiny/{file.name}")
    monkeypatch.setenv("SPARK_PROX_CACHE", str(tmp_path / "driver"))
    model_store._cache.cache_clear()
    lines = write_lines(tmp_path / "l", [{"id": f"{n}", "text": f"Home\n{WORDS} {n}"} for n in range(3)])
    put(spark, lines, "hdfs:///few/lines.jsonl")
    sets = (
        *("model.path=hdfs:///models/tiny", "model.engine=transformers", "model.device=cpu"),
        *("doc.enabled=false", "chunk.template=prox-chunk"),
    )
    where = ("--input", "hdfs:///few", "--input-format", "jsonl", "--id-column", "id")
    words = [word for setting in sets for word in ("--set", setting)]
    assert run_job("refine", *where, "--warehouse", "hdfs:///with-model", *words) == 0
    rows = Warehouse(spark, "hdfs:///with-model").read("programs").collect()
    assert {row["model"] for row in rows} == {"hdfs:///models/tiny"}
    assert len({row["doc_id"] for row in rows}) == 3
    executors = Path(str(spark.conf.get("spark.executorEnv.SPARK_PROX_CACHE")))
    for cache in (tmp_path / "driver", executors):
        assert [file.name for file in cache.glob("models/*/model.safetensors")] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("hdfs:///models/none", "MODEL_NOT_FOUND"),
        ("hdfs://127.0.0.1:9/models/tiny", "MODEL_OFFLINE"),  # the port for discarding
        ("nowhere://host/models/tiny", "MODEL_OFFLINE"),
    ],
)
def test_a_model_that_hadoop_cannot_give_is_one_line(
    spark: SparkSession, hdfs: MiniHadoop, tmp_path: Path, capfd: pytest.CaptureFixture[str], path: str, code: str
) -> None:
    configuration = spark._jsc.hadoopConfiguration()
    configuration.set("ipc.client.connect.max.retries", "0")  # ten, a second each
    where = ("--input", "hdfs:///few", "--input-format", "jsonl", "--id-column", "id")
    assert run_job("refine", *where, "--warehouse", str(tmp_path / "w"), "--set", f"model.path={path}") == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    configuration.unset("ipc.client.connect.max.retries")
    assert said.startswith(f"[SPARK_PROX.{code}]"), said
    assert path in said


def test_archives_on_hdfs_are_rows_of_the_data_source(spark: SparkSession, hdfs: MiniHadoop, repository: Path) -> None:
    """Folders, globs and lists, listed by the process that plans, which has no session; ranges need a file's size."""
    for name in ("one", "two"):
        put(spark, repository / "examples" / "pages.warc.wet.gz", f"hdfs:///archives/{name}.warc.wet.gz")
    put(spark, repository / "examples" / "pages.warc.wet.gz", "hdfs:///archives/_hidden.warc.wet.gz")
    register_sources(spark)

    def pages(path: str, **options: str) -> list[str]:
        frame = spark.read.format("wet").options(columns="path, target_uri", **options).load(path)
        rows = frame.where("target_uri is not null").collect()
        assert len({row["target_uri"] for row in rows}) == 46
        return sorted({row["path"] for row in rows})

    both = [f"{hdfs.url}/archives/{name}.warc.wet.gz" for name in ("one", "two")]
    assert pages("hdfs:///archives") == both
    assert pages("hdfs:///arch*/{two,three}*.wet.gz,hdfs:///archives/one.warc.wet.gz") == both
    assert pages("hdfs:///archives/two.warc.wet.gz", split_bytes="20000") == both[1:]
    with pytest.raises(Exception, match=r"INPUT_NOT_FOUND.*hdfs:///archives/three\*"):
        pages("hdfs:///archives/three*")


def test_of_simultaneous_creators_on_hdfs_one_wins(spark: SparkSession, hdfs: MiniHadoop) -> None:
    def create(number: int) -> bool:
        files = lease_files(spark, "hdfs:///race/_lease")
        assert isinstance(files, HadoopLeaseFiles)
        assert files.settle_s == 0
        return files.create("000000000001.json", f"{number}".encode())

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(6))) == [False] * 5 + [True]


def test_an_export_lies_on_hdfs_and_goes_on_where_it_was_cut_off(
    spark: SparkSession, hdfs: MiniHadoop, tiny_llama: Path, tmp_path: Path
) -> None:
    rows = [{"id": f"d{n}", "url": f"https://h{n}.example/", "text": f"Home\n{WORDS}\n{WORDS} {n}"} for n in range(12)]
    put(spark, write_lines(tmp_path / "rows.jsonl", rows), "hdfs:///few-rows/rows.jsonl")
    assert refine(tiny_llama, "hdfs:///few-rows", "jsonl", "--id-column", "id") == 0
    export = (
        "--warehouse",
        "hdfs:///data/spark_prox",
        "--from",
        "chunk",
        "--to",
        f"{hdfs.url}/corpus",
        "--shards",
        "3",
    )
    assert run_job("export", *export) == 0
    files, folder = hadoop_path(spark, "hdfs:///corpus/train")
    shards = sorted(status.getPath().getName() for status in files.listStatus(folder))
    assert [name for name in shards if name.endswith(".parquet")] == [f"shard-0000{n}.parquet" for n in range(3)]
    exported = spark.read.parquet("hdfs:///corpus/train/*.parquet")
    wanted = Warehouse(spark, "hdfs:///data/spark_prox").read("refined").where("text IS NOT NULL")
    assert {row["id"] for row in exported.collect()} == {row["doc_id"] for row in wanted.collect()}
    # A shard is lost: it alone is written again.
    _, lost = hadoop_path(spark, "hdfs:///corpus/train/shard-00001.parquet")
    times = {status.getPath().getName(): status.getModificationTime() for status in files.listStatus(folder)}
    files.delete(lost, False)
    assert run_job("export", *export) == 0
    after = {status.getPath().getName(): status.getModificationTime() for status in files.listStatus(folder)}
    assert {name for name in times if times[name] != after[name]} == {"shard-00001.parquet"}
