"""Several processes that train one model: each takes part of every batch, and gradients are summed once a step.

Started by torchrun or Spark's TorchDistributor (`RANK` and `WORLD_SIZE` in the environment); without them a
group of one. Two processes of one thread train faster than one process of two threads, since they wait for each
other once a step and not in every matrix product. torch is imported inside the functions.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["SOLO", "ProcessGroup", "join_process_group"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """This process's place among those that train.

    Attributes:
        rank: 0 for the process that evaluates, saves and reports.
        size: how many processes there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True if this process evaluates, saves and reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            import torch.distributed

            torch.distributed.barrier()

    def sum_gradients(self, model: Any, loss: Any) -> float:
        """Sum the gradients of all processes into every one of them; gives the sum of their losses."""
        import torch

        if self.size == 1:
            return float(loss)
        parameters = [p for p in model.parameters() if p.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
        flat = torch.cat([*parts, torch.as_tensor([float(loss)], device=parts[0].device)])
        torch.distributed.all_reduce(flat)
        start = 0
        for parameter in parameters:
            parameter.grad = flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        return float(flat[-1])


SOLO = ProcessGroup()


def join_process_group(device: str = "cpu") -> ProcessGroup:
    """The process group that torchrun or Spark's TorchDistributor set up, or a group of one.

    Args:
        device: "cuda" where each process has a GPU of its own: their gradients then never leave the GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return SOLO
    import torch.distributed

    if not torch.distributed.is_initialized():
        backend = "nccl" if device == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, timeout=datetime.timedelta(hours=2))
    return ProcessGroup(rank=int(os.environ["RANK"]), size=size)
