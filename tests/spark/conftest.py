"""One local Spark session with Delta for the whole tier, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is of the Spark tier."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.spark)
            # PySpark leaves the sockets of collect() to the garbage collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two cores."""
    from spark_prox.spark.session import build_session

    warehouse = tmp_path_factory.mktemp("spark-warehouse")
    session = build_session(
        "spark_prox tests",
        arrow_batch_rows=16,  # several Arrow batches from few rows
        extra={
            "spark.driver.memory": "2g",  # one JVM for the whole tier
            "spark.buffer.pageSize": "2m",  # by default 64 MB for the smallest sort
            "spark.master": "local[2]",  # two Python workers: what differs between workers shows
            "spark.sql.shuffle.partitions": "2",  # a few rows: more partitions are empty tasks
            "spark.databricks.delta.snapshotPartitions": "2",  # the same, for Delta's log
            "spark.ui.enabled": "false",  # no port, no thread
            "spark.ui.showConsoleProgress": "false",  # keeps test output readable
            "spark.log.level": "ERROR",  # the same
            "spark.sql.warehouse.dir": str(warehouse),  # nothing in the checkout
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={warehouse}",
        },
    )
    yield session
    session.stop()
