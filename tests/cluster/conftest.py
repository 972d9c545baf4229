"""One standalone cluster for the whole tier, and sessions on it whose executors have the code only as a zip."""

from __future__ import annotations

import gc
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.standalone import StandaloneCluster, standalone_cluster, wait_until
from tests.quick_spark import QUICK_JVM, QUICK_SESSION

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ClusterSession = Callable[..., AbstractContextManager["SparkSession"]]

GPU_EXECUTORS = {
    "spark.executor.cores": "2",  # one GPU and two cores each: more cores than GPUs
    "spark.executor.resource.gpu.amount": "1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is of the cluster tier."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            # py4j leaves the sockets of a stopped session to the garbage collector.
            item.add_marker(
                pytest.mark.filterwarnings(
                    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
                )
            )


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    """A master and two workers with two fake GPUs and four cores each."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
    assert not running.processes(), "the cluster left processes behind"


@pytest.fixture(scope="package")
def cluster_session(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSession]:
    """Opens a session on the cluster: `with cluster_session({...settings}, ship=True) as spark`.

    `ship=False` is for tests of missing code, and for those that run a `Pipeline`, which ships the code itself.
    """
    from pyspark import SparkContext

    from spark_prox.spark.session import build_session
    from spark_prox.spark.shipping import ship_code

    warehouse = tmp_path_factory.mktemp("spark-warehouse")

    @contextmanager
    def open_session(settings: dict[str, str] | None = None, *, ship: bool = True) -> Iterator[SparkSession]:
        assert SparkContext._active_spark_context is None, "another session is open in this process"
        before = os.environ["PYSPARK_PYTHON"]
        os.environ["PYSPARK_PYTHON"] = str(cluster.python)
        try:
            session = build_session(
                "spark_prox cluster tests",
                arrow_batch_rows=16,  # several Arrow batches from few rows
                extra={
                    **QUICK_SESSION,
                    "spark.master": cluster.url,
                    "spark.driver.host": "127.0.0.1",  # nothing listens outside this machine
                    "spark.driver.bindAddress": "127.0.0.1",  # the same
                    "spark.executor.memory": "512m",  # four executors beside everything else on a small machine
                    "spark.driver.extraJavaOptions": QUICK_JVM,
                    "spark.executor.extraJavaOptions": QUICK_JVM,
                    "spark.cores.max": str(cluster.cores),  # what the next setting waits for
                    "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # all executors, or counts would vary
                    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",  # four JVMs on two cores take a while
                    "spark.sql.warehouse.dir": str(warehouse),  # nothing in the checkout
                    **(settings or {}),
                },
            )
        finally:
            os.environ["PYSPARK_PYTHON"] = before
        try:
            if ship:
                ship_code(session)
            session.sparkContext.addPyFile(str(_observers(warehouse / "observers.zip")))
            yield session
        finally:
            session.stop()
            del session
            gc.collect()  # the sockets' warnings come here, where they are expected, and not in a later test
            wait_until(lambda: not cluster.executors(), "the end of the executors")

    yield open_session
    # The next tier gets a JVM of its own, started with its own settings.
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


@pytest.fixture(scope="session")
def tiny_model(tiny_llama: Path) -> str:
    """A model directory that driver and executors see at the same path, as on a shared file system."""
    return str(tiny_llama)


def _observers(target: Path) -> Path:
    """The one module of the tests that runs on executors, as a zip."""
    here = Path(__file__).parent
    with zipfile.ZipFile(target, "w") as archive:
        for file in (here.parent / "__init__.py", here / "__init__.py", here / "observed.py"):
            archive.write(file, file.relative_to(here.parent.parent))
    return target
