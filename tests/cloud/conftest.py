"""One S3 store and one Spark session on it for the tier, set up by the shipped `conf/spark-s3.conf`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cloud.processes import CLOUD
from tests.cloud.settings import s3_session
from tests.cloud.store import Store, s3_store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKETS = ("crawl", "corpus", "refused", "public")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is of the cloud tier."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cloud)
            # PySpark leaves the sockets of collect() to the garbage collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket"))


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty store with a few buckets, one of which anybody may read."""
    if not (CLOUD / "jars" / "s3a" / ".complete").is_file():
        pytest.skip("the S3 server and S3A's jars are not there: make test-cloud fetches them")
    with s3_store(tmp_path_factory.mktemp("store")) as running:
        for bucket in BUCKETS:
            running.put(bucket)
        running.public.add("public")
        yield running


@pytest.fixture(autouse=True)
def _calm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does to the store ends with it."""
    yield
    if "store" in request.fixturenames:
        running: Store = request.getfixturevalue("store")
        running.throttle_every, running.refused_agent, running.heeds_conditions = 0, "", True


@pytest.fixture(scope="package")
def spark(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session whose only word on the store is `spark.hadoop.fs.s3a.*`."""
    from spark_prox.spark.session import build_session

    own = {
        "spark.master": "local[2]",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark-warehouse")),
        "spark.executorEnv.SPARK_PROX_CACHE": str(tmp_path_factory.mktemp("executors")),
    }
    session = build_session("spark_prox cloud tests", arrow_batch_rows=16, extra={**s3_session(store), **own})
    yield session
    session.stop()
    del session
    gc.collect()
