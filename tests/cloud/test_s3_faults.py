"""Jobs as processes on one bucket: a driver that is killed in the middle, and two that start at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse
from tests.cloud.settings import s3_session
from tests.cloud.store import Store
from tests.cluster.faults.job import Job, launch
from tests.cluster.standalone import SPARK_HOME
from tests.spark.runs import scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def command(store: Store, model: Path, warehouse: str) -> Sequence[str]:
    """`refine` of the example pages in portions of a few documents, in a JVM of its own."""
    session = {
        **s3_session(store),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
    }
    settings = (*scripted(model), "placement.batch_documents=6", "placement.partitions=1")
    return [
        *(str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[1]"),
        *(word for name, value in session.items() for word in ("--conf", f"{name}={value}")),
        *("jobs/refine.py", "--warehouse", warehouse, "--input", "s3a://crawl/faults/", "--input-format", "wet"),
        *(word for setting in settings for word in ("--set", setting)),
    ]


def commits(store: Store, warehouse: str) -> int:
    """Commits to `programs` so far."""
    return sum(key.endswith(".json") for key in store.keys("corpus", f"{warehouse}/programs/_delta_log/"))


def put_pages(store: Store, repository: Path) -> None:
    store.put("crawl", "faults/pages.warc.wet.gz", (repository / "examples" / "pages.warc.wet.gz").read_bytes())


def check_books(spark: SparkSession, warehouse: str) -> None:
    """Every page is refined once, by programs that are there once."""
    tables = Warehouse(spark, warehouse)
    ids = [row["doc_id"] for row in tables.read("refined").collect()]
    assert (len(ids), len(set(ids)), tables.read("documents").count()) == (46, 46, 46)
    keys = TABLES["programs"].key
    assert tables.read("programs").groupBy(*keys).count().where("count > 1").isEmpty()


def test_a_driver_that_is_killed_costs_one_portion_and_leaves_nothing_behind(
    spark: SparkSession, store: Store, repository: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    put_pages(store, repository)
    words = command(store, tiny_llama, "s3a://corpus/killed")
    with launch(words, tmp_path / "killed.log") as job:
        end = time.monotonic() + 240
        while job.running and commits(store, "killed") < 3 and time.monotonic() < end:
            time.sleep(0.2)
        assert job.running, job.output[-3000:]
        job.kill()
    before = commits(store, "killed")
    with launch(words, tmp_path / "again.log") as again:
        assert again.wait(300) == 0, again.output[-3000:]
    check_books(spark, "s3a://corpus/killed")
    assert commits(store, "killed") > before >= 3
    left = [key for key in store.keys("corpus", "killed/_staging/") if not key.endswith("/")]
    assert not left
    assert len([key for key in store.keys("corpus", "killed/_lease/") if key.endswith(".json")]) == 1


def test_of_two_jobs_at_once_one_works_and_one_is_told(
    spark: SparkSession, store: Store, repository: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    put_pages(store, repository)

    def start(name: str) -> Job:
        return launch(command(store, tiny_llama, "s3a://corpus/both"), tmp_path / f"{name}.log")

    with start("one") as one, start("other") as other:
        codes = (one.wait(400), other.wait(400))
    assert sorted(codes) == [0, 2], one.output[-2000:] + other.output[-2000:]
    told = one if codes[0] else other
    (line,) = (line for line in told.output.splitlines() if line.startswith("[SPARK_PROX."))
    assert line.startswith("[SPARK_PROX.WAREHOUSE_BUSY]")
    check_books(spark, "s3a://corpus/both")
