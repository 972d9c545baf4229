"""Attention of sequences that lie behind each other: of whole prompts, and of new tokens on stored keys and values.

`flash` calls the variable-length kernel that comes with PyTorch, one call for all sequences of a step. `loop` asks
PyTorch's attention sequence by sequence and works everywhere. `choice` decides between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

__all__ = ["Attend", "Attention", "Step", "flash_attention", "loop_attention", "triton_prompts"]


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
    """A way to attend: queries (tokens, heads, width); keys and values of the step, or of the whole cache.

    Attributes:
        measured_ms: what each candidate for `prompts` took where one was chosen.
    """

    name: str
    prompts: Attend
    stored: Attend
    measured_ms: Mapping[str, float] = field(default_factory=dict)


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


def triton_prompts(configuration: tuple[int, ...]) -> Attend:
    """This package's own kernel, which has no part for stored keys."""

    def attend(query: Any, key: Any, value: Any, step: Step, scale: float) -> Any:
        from spark_prox.engines.cuda.prompt_attention import attend_prompts

        return attend_prompts(query, key, value, step.cu_queries, step.max_queries, scale, configuration)

    return attend


loop_attention = Attention(name="loop", prompts=_loop_prompts, stored=_loop_stored)
flash_attention = Attention(name="flash", prompts=_flash_prompts, stored=_flash_stored)
