"""A placement that the cluster cannot give is one clear error on the driver, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.placement import PlacementConfig
from spark_prox.errors import SetupError
from spark_prox.spark.placement import generation_profile
from tests.cluster.conftest import ClusterSession

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ONE_GPU = PlacementConfig(gpus_per_task=1)


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


def test_a_task_may_hold_every_gpu_of_its_executor(shared: SparkSession) -> None:
    assert generation_profile(shared, PlacementConfig(gpus_per_task=2)) is not None
