"""One packed pass over new prompts: everything that it needs goes to the GPU in one copy, nothing waits for it.

Knows requests, but not what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spark_prox.engines.base import Request
from spark_prox.engines.cuda.attention import Step
from spark_prox.engines.cuda.cache import KeyValueCache
from spark_prox.engines.cuda.forward import PackedLlama

__all__ = ["Pass", "launch_pass"]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Results on the device.

    Attributes:
        margins: of all read requests in order, shape (positions,), float32.
        tokens: the first token of each generate request in order, shape (requests,).
    """

    margins: Any | None
    tokens: Any | None


def launch_pass(
    model: PackedLlama, cache: KeyValueCache, prompts: Sequence[tuple[Request, int | None]], device: str
) -> Pass:
    """Compute prompts.

    Args:
        prompts: requests; with the first cache row of its stretch each that is to be decoded, with None each that
            is read.
    """
    import numpy as np
    import torch

    counts = np.array([len(request.prompt_token_ids) for request, _ in prompts])
    ends = counts.cumsum()
    begins = ends - counts
    total = int(ends[-1])
    ids = np.empty(total, dtype=np.int64)
    for (request, _), begin, end in zip(prompts, begins, ends, strict=True):
        ids[begin:end] = request.prompt_token_ids
    positions = np.arange(total) - begins.repeat(counts)
    read_rows, pairs = [], []
    for (request, start), begin in zip(prompts, begins, strict=True):
        if start is None:
            read_rows.append(np.asarray(request.read_at, dtype=np.int64) + begin)
            pairs.append(np.tile(np.asarray(request.read_tokens, dtype=np.int64), (len(request.read_at), 1)))
    keeps = [start is not None for _, start in prompts]
    rows = np.concatenate([*read_rows, (ends - 1)[keeps]]) if total else np.empty(0, dtype=np.int64)
    reads = sum(map(len, read_rows))
    first, second = np.concatenate(pairs).T if pairs else (rows[:0], rows[:0])
    stretches = np.array([0 if start is None else start for _, start in prompts])
    # A token that is not kept is written to row 0, which is nobody's.
    store = np.where(np.repeat(keeps, counts), positions + stretches.repeat(counts), 0) if any(keeps) else rows[:0]
    parts = [ids, positions, store, rows, first, second, np.concatenate([[0], ends])]
    packed = torch.from_numpy(np.concatenate(parts).astype(np.int64, copy=False))
    if device == "cuda":
        packed = packed.pin_memory()
    at = torch.split(packed.to(device, non_blocking=True), [len(part) for part in parts])
    step = Step(
        ids=at[0],
        positions=at[1],
        cu_queries=at[6].int(),
        max_queries=int(counts.max()),
        store=at[2] if any(keeps) else None,
        rows=at[3],
    )
    with torch.inference_mode():
        hidden = model.hidden(step, cache.tensor)
        margins = model.margins(hidden[:reads], at[4], at[5]) if reads else None
        tokens = model.logits(hidden[reads:]).argmax(-1) if any(keeps) else None
    return Pass(margins=margins, tokens=tokens)
