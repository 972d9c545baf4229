"""The state of a line encoder's training run in a file, so that a run that was killed goes on from it.

Knows weights by name and an optimizer; knows no batch and no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]

__all__ = ["resume_from", "store_state"]


def store_state(checkpoint: Path, step: int, learned: Weights, mean: Weights, optimizer: torch.optim.Optimizer) -> None:
    """Put the state of a run into its file, in place of the one before."""
    import torch

    partial = checkpoint.with_suffix(".partial")
    state = {"step": step, "weights": learned, "mean": mean, "optimizer": optimizer.state_dict()}
    torch.save(state, partial)
    partial.replace(checkpoint)


def resume_from(
    checkpoint: Path | None,
    learned: Weights,
    mean: Weights,
    optimizer: torch.optim.Optimizer,
    say: Callable[[str], None],
) -> int:
    """Load the state of an earlier run, if there is one; gives the next step."""
    import torch

    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, value in learned.items():
            value.copy_(state["weights"][name])
            mean[name].copy_(state["mean"][name])
    optimizer.load_state_dict(state["optimizer"])
    say(f"going on from step {state['step']}")
    return int(state["step"])
