"""A placement that the cluster cannot give is one clear error on the driver, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config import PlacementConfig
from spark_prox.errors import SetupError
from spark_prox.placement import generation_profile, generation_workers
from tests.cluster.conftest import ClusterSession
from tests.cluster.observed import Observed
from tests.cluster.test_gpu_placement import generating
from udfs.generate import PROGRAM_COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ONE_GPU = PlacementConfig(gpus_per_task=1)


def test_executors_without_gpus_are_one_error(cluster_session: ClusterSession) -> None:
    with (
        cluster_session({"spark.cores.max": "1", "spark.executor.cores": "1"}, ship=False) as spark,
        pytest.raises(SetupError, match=r"GPU_NOT_CONFIGURED.*announce no GPU.*spark-standalone-gpu.conf"),
    ):
        generation_profile(spark, ONE_GPU)


def test_a_local_session_is_one_error(cluster_session: ClusterSession) -> None:
    with (
        cluster_session({"spark.master": "local[1]"}, ship=False) as spark,
        pytest.raises(SetupError, match=r"GPU_LOCAL_MASTER.*'local\[1\]'"),
    ):
        generation_profile(spark, ONE_GPU)


@pytest.fixture(scope="module")
def shared(cluster_session: ClusterSession) -> Iterator[SparkSession]:
    """One executor with two GPUs."""
    settings = {"spark.cores.max": "4", "spark.executor.cores": "4", "spark.executor.resource.gpu.amount": "2"}
    settings["spark.task.maxFailures"] = "1"  # a second attempt in a new worker would hide the failure
    with cluster_session(settings) as session:
        yield session


def test_an_executor_with_two_gpus_is_refused_for_tasks_that_hold_one(shared: SparkSession) -> None:
    with pytest.raises(SetupError, match=r"GPU_SHARED_EXECUTOR.*have 2 GPUs.*gpu.amount=1"):
        generation_profile(shared, ONE_GPU)


def test_without_that_refusal_a_worker_is_handed_a_task_for_a_gpu_that_its_engine_is_not_on(
    shared: SparkSession, tiny_model: str, tmp_path: Path
) -> None:
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    profile = ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource("gpu", 1)).build
    # The task on the first GPU lasts longer, so its worker is the second to be idle; the next stage begins with the
    # first GPU and with the worker that has been idle longest, which is the other one.
    numbers = shared.range(192, numPartitions=2).where("id < 112")  # 96 rows and 16
    documents = numbers.selectExpr("cast(id as string) AS doc_id", "'hash' AS doc_hash", "'text' AS text")
    observed = Observed(generate=generating(tiny_model), folder=str(tmp_path), delay_s=0.2)
    with generation_workers(shared, ONE_GPU):
        rows = documents.mapInPandas(observed, PROGRAM_COLUMNS, profile=profile)
    with pytest.raises(Exception, match="GPU_CHANGED"):
        _collect_often(rows)


def _collect_often(rows: DataFrame) -> None:
    # Spark starts both tasks at once, and either may be the first to ask for a worker.
    for _ in range(8):
        rows.collect()


def test_a_task_may_hold_every_gpu_of_its_executor(shared: SparkSession) -> None:
    assert generation_profile(shared, PlacementConfig(gpus_per_task=2)) is not None
