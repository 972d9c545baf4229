"""Configuration of placement: on which GPUs and cores generation runs, and how many documents go together."""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.config.limits import check_least

__all__ = ["PlacementConfig"]


@dataclass(frozen=True, kw_only=True)
class PlacementConfig:
    """The resources that generation gets, and the size of its batches.

    Attributes:
        gpus_per_task: 0 for no GPU, 1 for one engine per GPU, 0.5 for two engines on each. Not under `local[*]`.
        cpus_per_task: CPU cores of one generating task.
        partitions: tasks of one generating batch; 0 means five for each core or GPU slot that Spark reports.
        batch_documents: documents generated and stored per commit: what a killed run can lose at most. 0 means 75,000
            for each GPU that Spark reports, which is work of one to two minutes, and 50,000 without GPUs.
        arrow_batch_rows: most documents in one Arrow batch.
        arrow_batch_bytes: most bytes in one Arrow batch.
    """

    gpus_per_task: float = 0.0
    cpus_per_task: int = 1
    partitions: int = 0
    batch_documents: int = 0
    arrow_batch_rows: int = 256
    arrow_batch_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        check_least(self, 0, "gpus_per_task", "partitions", "batch_documents")
        check_least(self, 1, "cpus_per_task", "arrow_batch_bytes")
        check_least(self, 1, "arrow_batch_rows", most=(1 << 31) - 1)
