"""Attention of sequences that lie behind each other: of whole prompts, and of new tokens on stored keys and values.

`flash` calls the variable-length kernel that comes with PyTorch, one call for all sequences of a step. `loop` asks
PyTorch's attention sequence by sequence and works everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["Attention", "Step", "best_attention", "loop_attention"]

_log = logging.getLogger(__name__)
_TOLERANCE = 0.05


@dataclass(eq=False, kw_only=True)
class Step:
    """One pass of the model: where its tokens belong.

    Attributes:
        ids, positions: of each token.
        cu_queries: int32, where each sequence's tokens begin, and the end of the last.
        max_queries: most tokens of one sequence.
        store: rows of the cache for each token's keys and values; None keeps nothing.
        rows: tokens whose output is wanted; None for all.
        starts: int32, first cache row of each sequence and one number more; None for whole prompts, which see
            themselves alone.
        lengths: int32, tokens that each sequence has in the cache, the new ones included.
        max_length: most of `lengths`.
    """

    ids: Any
    positions: Any
    cu_queries: Any
    max_queries: int
    store: Any | None = None
    rows: Any | None = None
    starts: Any | None = None
    lengths: Any | None = None
    max_length: int = 0


Attend = Callable[[Any, Any, Any, Step, float], Any]


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One way to attend: queries (tokens, heads, width); keys and values of the step, or of the whole cache."""

    name: str
    prompts: Attend
    stored: Attend


def _flash_prompts(query: Any, key: Any, value: Any, step: Step, scale: float) -> Any:
    import torch

    return torch.ops.aten._flash_attention_forward(
        query, key, value, step.cu_queries, step.cu_queries, step.max_queries, step.max_queries,
        0.0, True, False, scale=scale,
    )[0]  # fmt: skip


def _flash_stored(query: Any, keys: Any, values: Any, step: Step, scale: float) -> Any:
    import torch

    return torch.ops.aten._flash_attention_forward(
        query, keys, values, step.cu_queries, step.starts, step.max_queries, step.max_length,
        0.0, step.max_queries > 1, False, scale=scale, seqused_k=step.lengths,
    )[0]  # fmt: skip


def _loop_prompts(query: Any, key: Any, value: Any, step: Step, scale: float) -> Any:
    import torch

    bounds = step.cu_queries.tolist()
    answers = [_attend(query[a:b], key[a:b], value[a:b], scale, causal=True) for a, b in pairwise(bounds)]
    return torch.cat(answers)


def _loop_stored(query: Any, keys: Any, values: Any, step: Step, scale: float) -> Any:
    import torch

    assert step.starts is not None
    assert step.lengths is not None
    bounds = step.cu_queries.tolist()
    answers = []
    for (a, b), start, length in zip(pairwise(bounds), step.starts.tolist(), step.lengths.tolist(), strict=False):
        if b - a > 1 and length != b - a:
            raise NotImplementedError("several new tokens of a sequence that has a past")
        answers.append(
            _attend(query[a:b], keys[start : start + length], values[start : start + length], scale, causal=b - a > 1)
        )
    return torch.cat(answers)


def _attend(query: Any, key: Any, value: Any, scale: float, *, causal: bool) -> Any:
    import torch

    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    grouped = q.shape[1] != k.shape[1]
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale, enable_gqa=grouped)
    return out[0].transpose(0, 1)


loop_attention = Attention(name="loop", prompts=_loop_prompts, stored=_loop_stored)
_flash = Attention(name="flash", prompts=_flash_prompts, stored=_flash_stored)


def best_attention(device: str, dtype: Any, *, heads: int, kv_heads: int, width: int) -> Attention:
    """`flash` where it gives what `loop` gives on random numbers of the model's shape, `loop` elsewhere."""
    if device != "cuda":
        return loop_attention
    try:
        worst = max(_difference(device, dtype, heads, kv_heads, width, stored=stored) for stored in (False, True))
    except Exception as error:  # noqa: BLE001 - a private operator: another PyTorch may lack it
        _log.warning("no variable-length attention (%s: %s); the engine is slower", type(error).__name__, error)
        return loop_attention
    if not worst < _TOLERANCE:
        _log.warning("variable-length attention is off by %g; the engine goes without it", worst)
        return loop_attention
    return _flash


def _difference(device: str, dtype: Any, heads: int, kv_heads: int, width: int, *, stored: bool) -> float:
    import torch

    def random(*shape: int) -> Any:
        return torch.randn(*shape, device=device, dtype=dtype)

    def int32(*numbers: int) -> Any:
        return torch.tensor(numbers, device=device, dtype=torch.int32)

    with torch.inference_mode():
        if stored:
            step = Step(
                ids=None, positions=None, cu_queries=int32(0, 1, 2, 3), max_queries=1,
                starts=int32(200, 8, 90, 0), lengths=int32(70, 33, 1), max_length=512,
            )  # fmt: skip
            query, key, value = random(3, heads, width), random(300, kv_heads, width), random(300, kv_heads, width)
            got, expected = (way.stored(query, key, value, step, 0.1) for way in (_flash, loop_attention))
        else:
            step = Step(ids=None, positions=None, cu_queries=int32(0, 150, 151, 300), max_queries=150)
            query, key, value = random(300, heads, width), random(300, kv_heads, width), random(300, kv_heads, width)
            got, expected = (way.prompts(query, key, value, step, 0.1) for way in (_flash, loop_attention))
        return float((got.float() - expected.float()).abs().max())
