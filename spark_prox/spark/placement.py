"""Places of generating tasks: GPU resource profiles, their own Python workers, the number of tasks. Knows no model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from spark_prox.config.placement import PlacementConfig
from spark_prox.errors import SetupError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

__all__ = [
    "generation_partitions",
    "generation_profile",
    "generation_slots",
    "generation_workers",
    "portion_documents",
]

_EXECUTOR_GPUS = "spark.executor.resource.gpu.amount"
_TASKS_PER_SLOT = 5
_DOCUMENTS, _DOCUMENTS_PER_GPU = 50_000, 75_000


def generation_profile(spark: SparkSession, placement: PlacementConfig) -> ResourceProfile | None:
    """A task-only resource profile: so many GPUs and cores for one task; None when no GPU is asked for.

    Task-only profiles need no dynamic allocation on standalone (Spark 3.4), YARN and Kubernetes (3.5.1).

    Raises:
        SetupError: GPU_LOCAL_MASTER under `local[*]`, which refuses profiles; GPU_NOT_CONFIGURED when executors
            announce no GPU, or fewer than a task asks for; GPU_SHARED_EXECUTOR when an executor has GPUs for tasks
            that hold different ones; GPU_FRACTION for a share that does not divide a GPU evenly.
    """
    wanted = placement.gpus_per_task
    if wanted == 0:
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    master = spark.sparkContext.master or ""
    if master.startswith("local[") or master == "local":
        raise SetupError(
            "GPU_LOCAL_MASTER",
            f"Spark's master {master!r} cannot give GPUs to tasks.",
            "Use a cluster (standalone, YARN, Kubernetes), or placement.gpus_per_task=0.",
        )
    _check_shares(wanted, _executor_gpus(spark))
    requests = TaskResourceRequests().cpus(placement.cpus_per_task).resource("gpu", wanted)
    return ResourceProfileBuilder().require(requests).build


@contextmanager
def generation_workers(spark: SparkSession, placement: PlacementConfig) -> Iterator[None]:
    """Functions handed to Spark inside this context run in Python workers of their own.

    Spark hands an idle Python worker to whatever task comes next, the one that has waited longest first. A stage on
    more cores than GPUs leaves more idle workers than GPUs, and generating tasks would go round them all, each loading
    the model again onto the same GPU. Spark keeps one pool of workers for each environment that a function was made
    in (`PythonWorkerFactory` by interpreter and variables), so one variable is enough to keep generating tasks apart.
    """
    environment = spark.sparkContext.environment
    own = {"SPARK_PROX_WORKERS": "generate"}
    if placement.gpus_per_task:
        # CUDA counts the fastest GPU first, nvidia-smi and so conf/gpus.sh by PCI bus: "0" would be two GPUs.
        own["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    before = dict(environment)
    environment.update(own)
    try:
        yield
    finally:
        environment.clear()
        environment.update(before)


def generation_partitions(spark: SparkSession, placement: PlacementConfig, documents: int) -> int:
    """How many tasks one generating batch is cut into.

    Five per slot, so that the last tasks to finish are short beside the whole; an engine drains at the end of each, so
    not many more. Never more tasks than documents.
    """
    tasks = placement.partitions or _TASKS_PER_SLOT * generation_slots(spark, placement)
    return max(1, min(tasks, documents))


def generation_slots(spark: SparkSession, placement: PlacementConfig) -> int:
    """How many generating tasks run at once: one for each GPU's share where tasks ask for GPUs, else for each core."""
    cores = spark.sparkContext.defaultParallelism
    if placement.gpus_per_task:
        context = spark.sparkContext._jsc.sc()
        executors = int(context.getExecutorMemoryStatus().size()) - 1  # the driver is counted with them
        engines = max(1, math.floor(_executor_gpus(spark) / placement.gpus_per_task))
        return max(1, min(executors * engines, cores // placement.cpus_per_task))
    return max(1, cores // placement.cpus_per_task)


def portion_documents(spark: SparkSession, placement: PlacementConfig) -> int:
    """Documents that are generated and stored together.

    Planning and committing a portion takes seconds in which no engine works, however many there are, so that portions
    grow with the GPUs (docs/scale.md).
    """
    if placement.batch_documents:
        return placement.batch_documents
    if not placement.gpus_per_task:
        return _DOCUMENTS
    gpus = generation_slots(spark, placement) * placement.gpus_per_task
    return max(_DOCUMENTS, int(_DOCUMENTS_PER_GPU * gpus))


def _executor_gpus(spark: SparkSession) -> int:
    return int(spark.conf.get(_EXECUTOR_GPUS, None) or 0)


def _check_shares(wanted: float, announced: int) -> None:
    """Every Python worker of an executor must find the same GPUs, whichever task it gets."""
    if announced < wanted:
        raise SetupError(
            "GPU_NOT_CONFIGURED",
            f"placement.gpus_per_task={wanted:g}, but executors announce {announced or 'no'} GPU.",
            f"Start with --properties-file conf/spark-standalone-gpu.conf (or -yarn-, -kubernetes-): {_EXECUTOR_GPUS}.",
        )
    whole = wanted >= 1 and wanted == int(wanted)
    if not whole and (wanted > 1 or abs(1 / wanted - round(1 / wanted)) > 1e-9):
        raise SetupError(
            "GPU_FRACTION",
            f"placement.gpus_per_task={wanted:g} gives no whole number of engines on a GPU.",
            "Use 1, 0.5, 0.25 or a whole number of GPUs.",
        )
    if announced > max(1.0, wanted):
        raise SetupError(
            "GPU_SHARED_EXECUTOR",
            f"Executors have {announced} GPUs and tasks hold {wanted:g}: a Python worker whose engine sits on one GPU "
            "could be handed a task for another.",
            f"Set {_EXECUTOR_GPUS}={max(1, int(wanted))} and divide spark.executor.cores accordingly.",
        )
