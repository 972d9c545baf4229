"""Batches for fine-tuning: a reproducible order, forward passes under a token budget, several prompts in one row.

A packed row holds prompts one after the other, each with positions from 0: transformers then lets each attend to itself
alone. Padded rows hold one prompt each. torch is imported inside the functions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from spark_prox.training.sft.samples import SftSample

__all__ = ["Rows", "epoch_batches", "forward_passes", "weighted_loss"]

Rows = list[list[SftSample]]


def epoch_batches(samples: Sequence[SftSample], *, size: int, epoch: int, seed: int) -> list[list[SftSample]]:
    """The batches of one epoch: another order in each, always the same for a seed."""
    order = list(range(len(samples)))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return [[samples[index] for index in order[start : start + size]] for start in range(0, len(order), size)]


def forward_passes(batch: Sequence[SftSample], *, most_tokens: int, packing: bool) -> list[Rows]:
    """Split a batch into passes of at most so many tokens each, padding included; a longer sample is a pass of its own.

    Packing fills rows first-fit, the longest first; padding puts samples of similar length together.
    """
    ordered = sorted(batch, key=lambda sample: len(sample.ids), reverse=True)
    if packing:
        bins: list[tuple[int, list[SftSample]]] = []
        for sample in ordered:
            size = len(sample.ids)
            place = next((n for n, (used, _) in enumerate(bins) if used + size <= most_tokens), len(bins))
            used, held = bins[place] if place < len(bins) else (0, [])
            bins[place : place + 1] = [(used + size, [*held, sample])]
        return [[row] for _, row in bins]
    passes: list[Rows] = []
    for sample in ordered:
        if not passes or len(passes[-1][0][0].ids) * (len(passes[-1]) + 1) > most_tokens:
            passes.append([])
        passes[-1].append([sample])
    return passes


def weighted_loss(model: Any, rows: Rows, *, total_weight: float, precision: str, device: str) -> Any:
    """Weighted cross entropy of the programs' tokens in one forward pass, divided by the weight of the whole batch."""
    import torch

    width = max(sum(len(sample.ids) for sample in row) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    positions = torch.arange(width).repeat(len(rows), 1)
    places: list[tuple[int, int]] = []
    weights: list[float] = []
    for number, row in enumerate(rows):
        start = 0
        for sample in row:
            stop = start + len(sample.ids)
            ids[number, start:stop] = torch.tensor(sample.ids)
            positions[number, start:stop] = torch.arange(len(sample.ids))
            places += [(number, place) for place in range(start + sample.prompt_tokens, stop)]
            weights += sample.weights
            start = stop
    targets = torch.tensor([int(ids[place]) for place in places], device=device)
    columns = sorted({column - 1 for _, column in places})
    at = {column: index for index, column in enumerate(columns)}
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            logits_to_keep=torch.tensor(columns, device=device),  # the vocabulary is large, programs are short
        ).logits
    chosen = logits[[row for row, _ in places], [at[column - 1] for _, column in places]].float()
    losses = torch.nn.functional.cross_entropy(chosen, targets, reduction="none")
    return (losses * torch.tensor(weights, device=device)).sum() / total_weight
