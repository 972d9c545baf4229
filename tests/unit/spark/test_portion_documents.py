"""The size of portions grows with the GPUs. A session is only asked for its cores and GPUs: a stand-in answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from pyspark.sql import SparkSession

from spark_prox.config.placement import PlacementConfig
from spark_prox.spark.placement import portion_documents


def session(executors: int) -> SparkSession:
    """Executors of four cores and one GPU."""
    status = SimpleNamespace(getExecutorMemoryStatus=lambda: SimpleNamespace(size=lambda: executors + 1))
    context = SimpleNamespace(defaultParallelism=4 * executors, _jsc=SimpleNamespace(sc=lambda: status))
    conf = SimpleNamespace(get=lambda *_: "1")
    return cast(SparkSession, SimpleNamespace(sparkContext=context, conf=conf))


@pytest.mark.parametrize(
    ("placement", "executors", "wanted"),
    [
        (PlacementConfig(), 64, 50_000),
        (PlacementConfig(gpus_per_task=1), 64, 4_800_000),
        (PlacementConfig(gpus_per_task=0.5), 64, 4_800_000),
        (PlacementConfig(gpus_per_task=1), 1, 75_000),
        (PlacementConfig(gpus_per_task=1, batch_documents=500), 64, 500),
    ],
)
def test_a_portion_is_work_for_every_gpu(placement: PlacementConfig, executors: int, wanted: int) -> None:
    assert portion_documents(session(executors), placement) == wanted
