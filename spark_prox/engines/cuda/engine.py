"""Engine for Llama-like models on a GPU: the CPU prepares the next pass while the GPU runs this one.

Prompts are computed in packed passes of many tokens; sequences that are being decoded have a lane each and advance in
bursts between passes. All goes down one stream in order, so that lanes and cache rows are given away as soon as their
last use is launched; results are read one launch later. Knows nothing of documents.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from spark_prox.engines.base import Completion, Request, failure, is_ready, unfit
from spark_prox.engines.cuda.cache import KeyValueCache
from spark_prox.engines.cuda.forward import PackedLlama
from spark_prox.engines.cuda.lanes import BURST, Lanes
from spark_prox.engines.cuda.passes import Pass, launch_pass
from spark_prox.engines.cuda.seats import OVERRUN, Seats, Sequence

__all__ = ["CudaEngine"]

_log = logging.getLogger(__name__)
_SCRATCH_ROWS = 4 * BURST


@dataclass(eq=False)
class _Launched:
    """Work in progress: a pass with the requests that it reads and begins, or a burst with its sequences."""

    event: Any
    read: list[Request]
    margins: Any | None
    written: list[Sequence]
    tokens: Any | None  # (steps, columns) on the host, a column for each of `written`
    columns: list[int]


class CudaEngine:
    """See `Engine`."""

    def __init__(
        self,
        model: PackedLlama,
        *,
        tokenizer: Any,
        stop_ids: Iterable[int],
        device: str,
        batch_tokens: int,
        max_in_flight: int,
        lanes: int,
        request_timeout_s: float,
        graphs: bool = True,
        ahead: int = 1,
    ) -> None:
        """
        Args:
            batch_tokens: most prompt tokens of a pass, unless one prompt alone has more.
            lanes: most sequences that are decoded at once; fewer where the memory does not hold their keys and values.
            ahead: launches that may be under way when another one is made; 0 waits for each.
        """
        import torch

        self._torch = torch
        self._model = model
        self._tokenizer = tokenizer
        self._stop_ids = frozenset(stop_ids)
        self._device = device
        self._budget = batch_tokens
        self._max_in_flight = max_in_flight
        self._timeout_s = request_timeout_s
        self._ahead = ahead
        weights = model.weights
        row = 4 * len(weights.layers) * weights.kv_heads * weights.head_width  # two tensors of two bytes
        wanted = lanes * (weights.context + OVERRUN)
        if device == "cuda":
            wanted = min(wanted, int(torch.cuda.mem_get_info()[0] * 0.3) // row)
        self._cache = KeyValueCache(
            layers=len(weights.layers), rows=wanted + _SCRATCH_ROWS, scratch=_SCRATCH_ROWS,
            kv_heads=weights.kv_heads, width=weights.head_width, dtype=weights.embedding.dtype, device=device,
        )  # fmt: skip
        self._lanes = Lanes(model, self._cache, lanes, device=device, graphs=graphs)
        self._seats = Seats(self._cache, lanes)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`. Holds at most `max_in_flight` requests."""
        stream, weights = iter(requests), self._model.weights
        waiting: deque[Request] = deque()
        under_way: deque[_Launched] = deque()
        held, more = 0, True
        try:
            while more or held:
                while more and held < self._max_in_flight:
                    if held and not is_ready(stream):
                        break
                    request = next(stream, None)
                    if request is None:
                        more = False
                    elif problem := unfit(request, context=weights.context, vocabulary=weights.embedding.shape[0]):
                        yield problem
                    else:
                        waiting.append(request)
                        held += 1
                failed: list[Completion] = []
                launched = self._advance(waiting, failed, pressing=more and is_ready(stream))
                under_way.extend(launched)
                held -= len(failed)
                yield from failed
                while under_way and (len(under_way) > self._ahead or not launched):
                    finished = self._collect(under_way.popleft())
                    held -= len(finished)
                    yield from finished
                    if not launched:
                        break
        finally:
            for sequence in list(self._seats.active.values()):
                self._seats.release(sequence)

    def _advance(self, waiting: deque[Request], failed: list[Completion], *, pressing: bool) -> list[_Launched]:
        """Launch a pass, or a burst; nothing where nothing can go on before something has been collected."""
        begun: list[tuple[Request, Sequence | None]] = []
        used = 0
        while waiting:
            request = waiting[0]
            used += len(request.prompt_token_ids)
            if begun and used > self._budget:
                break
            sequence = self._seats.take(request) if not request.read_at else None
            if sequence is None and not request.read_at:
                break
            begun.append((waiting.popleft(), sequence))
        small = used < self._budget // 2 and (bool(waiting) or pressing)
        if begun and (not len(self._seats.active) > sum(sequence is not None for _, sequence in begun) or not small):
            return self._launch(begun, failed)
        for request, sequence in reversed(begun):  # a small pass can wait for lanes that a burst frees
            waiting.appendleft(request)
            if sequence is not None:
                self._seats.release(sequence)
        if self._seats.active:
            return [self._burst()]
        if waiting:  # every lane is free and it still found no place
            failed.append(failure(waiting.popleft(), "OUT_OF_MEMORY", "its keys and values do not fit"))
        return []

    def _launch(self, begun: list[tuple[Request, Sequence | None]], failed: list[Completion]) -> list[_Launched]:
        """Launch a pass; on an error halve it, until the request that causes it stands alone and gets a code."""
        try:
            work = launch_pass(
                self._model, self._cache, [(r, None if s is None else s.start) for r, s in begun], self._device
            )
            return [self._begun(begun, work)]
        except Exception as error:
            if "CUDA error" in str(error) and "out of memory" not in str(error).lower():
                raise  # the device's state is gone: whoever supervises this engine loads another one
            if self._device == "cuda":
                self._torch.cuda.empty_cache()
            if len(begun) == 1:
                request, sequence = begun[0]
                if sequence is not None:
                    self._seats.release(sequence)
                code = "OUT_OF_MEMORY" if "out of memory" in str(error).lower() else "ENGINE_ERROR"
                failed.append(failure(request, code, type(error).__name__))
                return []
            _log.warning("a pass of %d requests failed with %s; halving it", len(begun), type(error).__name__)
        middle = len(begun) // 2
        return self._launch(begun[:middle], failed) + self._launch(begun[middle:], failed)

    def _begun(self, begun: list[tuple[Request, Sequence | None]], work: Pass) -> _Launched:
        written = [sequence for _, sequence in begun if sequence is not None]
        if written:
            lanes = self._torch.tensor([sequence.lane for sequence in written], dtype=self._torch.int64)
            if self._device == "cuda":
                lanes = lanes.pin_memory()
            self._lanes.set_tokens(lanes.to(self._device, non_blocking=True), work.tokens)
        launched = _Launched(
            event=None,
            read=[request for request, sequence in begun if sequence is None],
            margins=self._to_host(work.margins),
            written=written,
            tokens=self._to_host(work.tokens[None] if work.tokens is not None else None),
            columns=list(range(len(written))),
        )
        launched.event = self._event()
        for sequence in written:
            if sequence.launched >= sequence.request.max_new_tokens:
                self._seats.release(sequence)
        return launched

    def _burst(self) -> _Launched:
        lanes = max(self._seats.active) + 1
        starts, positions = [0] * lanes, [0] * lanes
        for lane, sequence in self._seats.active.items():
            starts[lane] = sequence.start
            positions[lane] = len(sequence.request.prompt_token_ids) + sequence.launched - 1
        members = list(self._seats.active.values())
        steps = min(BURST, max(s.request.max_new_tokens - s.launched for s in members))
        tokens = self._lanes.burst(starts, positions, steps)
        launched = _Launched(
            event=None, read=[], margins=None, written=members, tokens=self._to_host(tokens),
            columns=[sequence.lane for sequence in members],
        )  # fmt: skip
        launched.event = self._event()
        for sequence in members:
            sequence.launched += steps
            if sequence.launched >= sequence.request.max_new_tokens:
                self._seats.release(sequence)
        return launched

    def _collect(self, launched: _Launched) -> list[Completion]:
        """Wait for something that is under way, and complete what it finishes."""
        if launched.event is not None:
            launched.event.synchronize()
        finished: list[Completion] = []
        if launched.margins is not None or launched.read:
            values = iter(launched.margins.tolist() if launched.margins is not None else ())
            finished += [
                Completion(
                    request_id=request.request_id,
                    finish_reason="read",
                    prompt_tokens=len(request.prompt_token_ids),
                    margins=tuple(next(values) for _ in request.read_at),
                )
                for request in launched.read
            ]
        if launched.tokens is not None:
            by_lane = launched.tokens.t().tolist()
            for sequence, column in zip(launched.written, launched.columns, strict=True):
                if not sequence.done and (completion := self._write(sequence, by_lane[column])):
                    finished.append(completion)
        return finished

    def _write(self, sequence: Sequence, tokens: list[int]) -> Completion | None:
        request = sequence.request
        written = sequence.written
        for token in tokens:
            written.append(token)
            sequence.done = token in self._stop_ids or len(written) >= request.max_new_tokens
            if sequence.done:
                break
        late = time.monotonic() - sequence.begun > self._timeout_s
        if not sequence.done and not late:
            return None
        self._seats.release(sequence)
        del written[request.max_new_tokens :]
        if not sequence.done:
            sequence.done = True
            return failure(request, "TIMEOUT", f"not done after {self._timeout_s:g} s")
        stopped = bool(written) and written[-1] in self._stop_ids
        return Completion(
            request_id=request.request_id,
            text=self._tokenizer.decode_answer(written[:-1] if stopped else written),
            finish_reason="stop" if stopped else "length",
            prompt_tokens=len(request.prompt_token_ids),
            output_tokens=len(written),
        )

    def _to_host(self, tensor: Any | None) -> Any | None:
        if tensor is None or self._device != "cuda":
            return tensor.clone() if tensor is not None else None
        host = self._torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor, non_blocking=True)

    def _event(self) -> Any:
        if self._device != "cuda":
            return None
        event = self._torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return event
