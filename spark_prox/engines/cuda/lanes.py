"""Decoding of many sequences at once, several tokens at a time without the CPU: one lane each, replayed as CUDA graphs.

A step takes each lane's last token, computes the next one and leaves it where the next step finds it. The CPU says
once a burst where the lanes stand, and reads the tokens of a burst after it. Knows nothing of requests.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from spark_prox.engines.cuda.attention import Step
from spark_prox.engines.cuda.cache import KeyValueCache
from spark_prox.engines.cuda.forward import PackedLlama

__all__ = ["BURST", "Lanes"]

_log = logging.getLogger(__name__)
BURST = 8
"""Most tokens that are decoded of each lane before the CPU looks at them."""
_WIDTHS = (4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)


class Lanes:
    """Device state of `count` lanes over one cache.

    Attributes:
        graphs: whether steps are replayed as CUDA graphs; set to false by the first capture that fails.
    """

    def __init__(self, model: PackedLlama, cache: KeyValueCache, count: int, *, device: str, graphs: bool) -> None:
        import torch

        self._torch = torch
        self._model = model
        self._cache = cache
        self.count = count
        self.graphs = graphs and device == "cuda"
        self._device = device
        self._graphs: dict[int, Any] = {}
        self._pool: Any = None
        self._ids = torch.zeros(count, dtype=torch.int64, device=device)
        self._where = torch.zeros(2, count + 1, dtype=torch.int32, device=device)  # starts, positions
        self._cu_queries = torch.arange(count + 1, dtype=torch.int32, device=device)
        self._history = torch.zeros(BURST, count, dtype=torch.int64, device=device)
        self._at = torch.zeros(1, dtype=torch.int64, device=device)

    def set_tokens(self, lanes: Any, tokens: Any) -> None:
        """Give lanes the token that they go on from; both on the device."""
        self._ids.index_copy_(0, lanes, tokens)

    def burst(self, starts: Sequence[int], positions: Sequence[int], steps: int) -> Any:
        """Decode `steps` tokens of every lane.

        Args:
            starts: first cache row of each lane; 0 for one without a sequence.
            positions: cache rows that each lane has filled.

        Returns:
            The tokens on the device, shape (steps, lanes); overwritten by the next burst.
        """
        torch = self._torch
        width = next((width for width in _WIDTHS if len(starts) <= width <= self.count), self.count)
        where = torch.zeros(2, self.count + 1, dtype=torch.int32, pin_memory=self._device == "cuda")
        where[0, : len(starts)] = torch.tensor(starts, dtype=torch.int32)
        where[1, : len(positions)] = torch.tensor(positions, dtype=torch.int32)
        with torch.inference_mode():
            step = self._step_of(width)
            self._where.copy_(where, non_blocking=True)
            self._at.zero_()
            for _ in range(steps):
                step()
            return self._history[:steps, : len(starts)]

    def _step_of(self, width: int) -> Any:
        if not self.graphs:
            return lambda: self._step(width)
        if width not in self._graphs:
            try:
                self._graphs[width] = self._captured(width)
            except Exception as error:  # noqa: BLE001 - slower, not broken; a dead device raises again at once
                _log.warning("decoding without CUDA graphs (%s: %s)", type(error).__name__, error)
                self.graphs = False
                return lambda: self._step(width)
        return self._graphs[width].replay

    def _captured(self, width: int) -> Any:
        torch = self._torch
        ids = self._ids.clone()  # the warm-up decodes for real, into the scratch rows
        self._where.zero_()
        self._at.zero_()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self._step(width)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._step(width)
        self._pool = graph.pool()
        self._ids.copy_(ids)
        return graph

    def _step(self, width: int) -> None:
        starts, positions = self._where[0], self._where[1, :width]
        step = Step(
            ids=self._ids[:width],
            positions=positions,
            cu_queries=self._cu_queries[: width + 1],
            max_queries=1,
            store=starts[:width] + positions,
            starts=starts[: width + 1],
            lengths=positions + 1,
            max_length=self._model.weights.context + 2 * BURST,
        )
        tokens = self._model.logits(self._model.hidden(step, self._cache.tensor)).argmax(-1)
        self._ids[:width].copy_(tokens)
        self._history[:, :width].index_copy_(0, self._at, tokens[None])
        positions.add_(1)
        self._at.add_(1)
