"""Choose how to attend on this card: every candidate has to give what the plain way gives, then the fastest is taken.

Candidates are private operators of PyTorch and kernels that are compiled here, so each may be missing, and which one
is fast depends on the width of a model's heads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from spark_prox.engines.cuda.attention import (
    Attend,
    Attention,
    Step,
    flash_attention,
    loop_attention,
    triton_prompts,
)

__all__ = ["best_attention", "prompt_candidates"]

_log = logging.getLogger(__name__)
_TOLERANCE = 0.05
_TIMED_PROMPTS, _TIMED_TOKENS, _ROUNDS = 16, 1024, 5


def best_attention(device: str, dtype: Any, *, heads: int, kv_heads: int, width: int) -> Attention:
    """The fastest that is right; `loop_attention` where no other is."""
    if device != "cuda":
        return loop_attention
    shape = _Shape(device, dtype, heads, kv_heads, width)
    stored = flash_attention.stored
    if not _right("stored", lambda: shape.stored_difference(stored)):
        return loop_attention
    seconds: dict[str, float] = {}
    ways = dict(prompt_candidates(width))
    for name, attend in ways.items():
        if _right(name, lambda attend=attend: shape.prompts_difference(attend)):
            seconds[name] = shape.seconds(attend)
    if not seconds:
        return loop_attention
    best = min(seconds, key=lambda name: seconds[name])
    measured = {name: round(value * 1e3, 3) for name, value in seconds.items()}
    return Attention(name=best, prompts=ways[best], stored=stored, measured_ms=measured)


def prompt_candidates(width: int) -> Iterator[tuple[str, Attend]]:
    """By name, ways to attend over prompts with heads of a width."""
    yield "flash", flash_attention.prompts
    try:
        from spark_prox.engines.cuda.prompt_attention import CONFIGURATIONS, split_width
    except ImportError:
        return
    if split_width(width) is not None:
        for configuration in CONFIGURATIONS:
            yield "triton_" + "x".join(map(str, configuration)), triton_prompts(configuration)


def _right(name: str, difference: Any) -> bool:
    try:
        worst = difference()
    except Exception as error:  # noqa: BLE001 - another PyTorch or card may lack it
        _log.warning("attention %s cannot be had (%s: %s)", name, type(error).__name__, error)
        return False
    if not worst < _TOLERANCE:
        _log.warning("attention %s is off by %g; going without it", name, worst)
        return False
    return True


class _Shape:
    """Random numbers in a model's shape."""

    def __init__(self, device: str, dtype: Any, heads: int, kv_heads: int, width: int) -> None:
        self._device, self._dtype = device, dtype
        self._heads, self._kv_heads, self._width = heads, kv_heads, width

    def prompts_difference(self, attend: Attend) -> float:
        """Largest difference from the plain way; the prompts end within blocks, on their edges, and after one token."""
        import torch

        step, query, key, value = self._prompts(150, 1, 128, 257)
        with torch.inference_mode():
            got, expected = (way(query, key, value, step, 0.1) for way in (attend, loop_attention.prompts))
            return float((got.float() - expected.float()).abs().max())

    def stored_difference(self, attend: Attend) -> float:
        """The same for single tokens of sequences that lie anywhere."""
        import torch

        step = Step(
            ids=None, positions=None, cu_queries=self._int32(0, 1, 2, 3), max_queries=1,
            starts=self._int32(200, 8, 90, 0), lengths=self._int32(70, 33, 1), max_length=512,
        )  # fmt: skip
        query, key, value = self._random(3, self._heads), self._random(300, 0), self._random(300, 0)
        with torch.inference_mode():
            got, expected = (way(query, key, value, step, 0.1) for way in (attend, loop_attention.stored))
            return float((got.float() - expected.float()).abs().max())

    def seconds(self, attend: Attend) -> float:
        """Of one call on prompts of a common length, the best of several."""
        import torch

        step, query, key, value = self._prompts(*[_TIMED_TOKENS] * _TIMED_PROMPTS)
        best = float("inf")
        with torch.inference_mode():
            for _ in range(_ROUNDS):
                torch.cuda.synchronize()
                began = time.perf_counter()
                attend(query, key, value, step, 0.1)
                torch.cuda.synchronize()
                best = min(best, time.perf_counter() - began)
        return best

    def _prompts(self, *lengths: int) -> tuple[Step, Any, Any, Any]:
        """Queries, keys and values as views of one tensor, as the forward pass has them."""
        bounds = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
        step = Step(ids=None, positions=None, cu_queries=self._int32(*bounds), max_queries=max(lengths))
        joined = self._random(bounds[-1], self._heads + 2 * self._kv_heads)
        stop = self._heads + self._kv_heads
        return step, joined[:, : self._heads], joined[:, self._heads : stop], joined[:, stop:]

    def _random(self, tokens: int, heads: int) -> Any:
        import torch

        return torch.randn(tokens, heads or self._kv_heads, self._width, device=self._device, dtype=self._dtype)

    def _int32(self, *numbers: int) -> Any:
        import torch

        return torch.tensor(numbers, device=self._device, dtype=torch.int32)
