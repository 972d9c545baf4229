"""Batches of samples of similar length, padded to a multiple of 64 tokens, and the weighted loss on their programs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lora_llama import LoraLlama

__all__ = ["Samples", "batch_loss", "endless_batches"]

_STEP = 64


class Samples:
    """The samples of one part of a programs pack: token ids, prompt lengths, weights of the program tokens."""

    def __init__(self, found: dict[str, Any], part: str) -> None:
        self._ids = found[f"{part}/ids"]
        self.lengths = found[f"{part}/lengths"].astype(np.int64)
        self.prompts = found[f"{part}/prompts"].astype(np.int64)
        self.kinds = found[f"{part}/kinds"]
        self._weights = found[f"{part}/weights"].astype(np.float32)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._weight_starts = np.concatenate([[0], np.cumsum(self.lengths - self.prompts)])

    def __len__(self) -> int:
        return len(self.lengths)

    def usual_weight(self, tokens: int) -> float:
        """The weight of a batch of so many tokens, in the mean."""
        return max(1.0, float(self._weights.sum()) * min(1.0, tokens / max(1, int(self.lengths.sum()))))

    def batch(self, chosen: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Padded ids; flat places whose next token is learnt; those tokens; their weights."""
        width = -(-int(self.lengths[chosen].max()) // _STEP) * _STEP
        ids = np.zeros((len(chosen), width), np.int64)
        places, weights = [], []
        for row, number in enumerate(chosen):
            length, prompt = self.lengths[number], self.prompts[number]
            ids[row, :length] = self._ids[self._starts[number] : self._starts[number + 1]]
            places.append(np.arange(prompt - 1, length - 1) + row * width)
            weights.append(self._weights[self._weight_starts[number] : self._weight_starts[number + 1]])
        at = np.concatenate(places)
        targets = ids.reshape(-1)[at + 1]
        return tuple(torch.from_numpy(array) for array in (ids, at, targets, np.concatenate(weights)))  # type: ignore[return-value]


def endless_batches(lengths: np.ndarray, tokens: int, seed: int, start: int = 0) -> Iterator[np.ndarray]:
    """Indices of batches of about so many padded tokens, epoch after epoch, the first `start` left out."""
    source = np.random.default_rng(seed)
    number = 0
    while True:
        noisy = lengths + source.uniform(0, _STEP, len(lengths))
        order = np.argsort(noisy)[::-1]
        batches, at = [], 0
        while at < len(order):
            width = -(-int(lengths[order[at : at + 1]].max() + _STEP) // _STEP) * _STEP
            size = max(1, tokens // width)
            batches.append(order[at : at + size])
            at += size
        random.Random(f"{seed}/{number}").shuffle(batches)
        for batch in batches:
            if number >= start:
                yield batch
            number += 1


def batch_loss(
    model: LoraLlama, batch: tuple[torch.Tensor, ...], usual_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted cross entropy of the program tokens; also the share of them that greedy decoding would get right.

    Args:
        usual_weight: of a batch: one with more at stake counts more.
    """
    ids, at, targets, weights = (value.to(model.device, non_blocking=True) for value in batch)
    hidden = model.hidden(ids)
    logits = model.logits(hidden.reshape(-1, hidden.shape[-1])[at])
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    right = (logits.detach().argmax(-1) == targets).float().mean()
    return (losses * weights).sum() / usual_weight, right
