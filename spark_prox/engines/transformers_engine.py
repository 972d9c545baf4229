"""Engine on transformers and torch, for CPUs and for GPUs without vLLM: continuous batching without padding.

Each step runs one token of every sequence that is being decoded and as many new prompts as the token budget holds, in
one packed forward pass (`packed`). A read request is done after its first step, whose output embedding it needs two
rows of. Knows nothing of documents.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request, failure, is_ready, unfit
from spark_prox.engines.grammar import Guide, ProgramGrammar
from spark_prox.engines.loading import device_name, load_causal_model, stop_ids
from spark_prox.engines.packed import PackedModel, Segment
from spark_prox.engines.packed_linear import pack_linear_layers
from spark_prox.models import load_tokenizer

__all__ = ["TransformersEngine"]

_log = logging.getLogger(__name__)
_BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
_DECODING = 64


@dataclass(eq=False)
class _Sequence:
    """A request that is being worked on: `segment` holds the tokens of its next step."""

    request: Request
    segment: Segment
    guide: Guide | None
    written: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)


class TransformersEngine:
    """A causal language model loaded by transformers.

    Raises:
        ModelError: MODEL_UNLOADABLE when the files are not a causal language model that transformers knows;
            MODEL_ATTENTION when batches without padding cannot be had of it; ADAPTER_UNLOADABLE.
    """

    def __init__(self, spec: ModelSpec, model: Any = None) -> None:
        """
        Args:
            model: what `load_causal_model` gives for the spec; loaded where it is not given.
        """
        import torch

        self._torch = torch
        self._spec = spec
        self._device = device_name(spec.device)
        if model is None:
            model = load_causal_model(spec)
        pack_linear_layers(model)
        self._model = PackedModel(model)
        self._tokenizer = load_tokenizer(spec.path)
        self._budget = spec.max_batch_tokens or _BATCH_TOKENS.get(self._device, 16_384)
        self._context_tokens = int(model.config.max_position_embeddings)
        self._vocabulary = int(model.config.vocab_size)
        self._stop_ids = stop_ids(spec.path)
        self._grammar = ProgramGrammar(self._tokenizer, self._stop_ids) if spec.constrain and self._stop_ids else None

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`. Holds at most `max_in_flight` requests, of which it decodes `max_decoding` at once."""
        stream = iter(requests)
        waiting: deque[Request] = deque()
        decoding: list[_Sequence] = []
        more = True
        while more or waiting or decoding:
            while more and len(waiting) + len(decoding) < self._spec.max_in_flight:
                if (waiting or decoding) and not is_ready(stream):
                    break
                request = next(stream, None)
                if request is None:
                    more = False
                elif problem := unfit(request, context=self._context_tokens, vocabulary=self._vocabulary):
                    yield problem
                else:
                    waiting.append(request)
            step = [*decoding, *self._new(waiting, decoding)]
            if step:
                finished = self._run(step)
                done = {completion.request_id for completion in finished}
                decoding = [sequence for sequence in step if sequence.request.request_id not in done]
                yield from finished

    def _new(self, waiting: deque[Request], decoding: Sequence[_Sequence]) -> Iterator[_Sequence]:
        """The prompts that the next step has room for; one at least where nothing is being decoded."""
        used, held = sum(len(sequence.segment.tokens) for sequence in decoding), len(decoding)
        while waiting:
            request = waiting[0]
            used += len(request.prompt_token_ids)
            held += bool(request.max_new_tokens)
            first = not decoding and used == len(request.prompt_token_ids)
            if not first and (used > self._budget or held > (self._spec.max_decoding or _DECODING)):
                return
            waiting.popleft()
            guided = self._grammar is not None and request.program_lines is not None
            yield _Sequence(
                request=request,
                segment=Segment(
                    request.prompt_token_ids,
                    capacity=len(request.prompt_token_ids) + request.max_new_tokens if request.max_new_tokens else 0,
                ),
                guide=self._grammar.guide(request.program_lines) if guided else None,  # type: ignore[union-attr, arg-type]
            )

    def _run(self, step: list[_Sequence]) -> list[Completion]:
        """Run a step; on an error halve it, until the request that causes it stands alone and gets a code.

        A step changes no sequence before its end, so that a part of one can be run again.
        """
        try:
            with self._torch.inference_mode():
                hidden = self._model.hidden([sequence.segment for sequence in step])
                return [*self._read(step, hidden), *self._decode(step, hidden)]
        except Exception as error:
            if _fatal(error):
                raise  # the device's state is gone: whoever supervises this engine loads another one
            if self._device == "cuda":
                self._torch.cuda.empty_cache()
            if len(step) == 1:
                code = "OUT_OF_MEMORY" if "out of memory" in str(error).lower() else "ENGINE_ERROR"
                return [failure(step[0].request, code, type(error).__name__)]
            _log.warning("a step of %d requests failed with %s; halving it", len(step), type(error).__name__)
        middle = len(step) // 2
        return self._run(step[:middle]) + self._run(step[middle:])

    def _read(self, step: list[_Sequence], hidden: Any) -> list[Completion]:
        rows: list[int] = []
        pairs: list[tuple[int, int]] = []
        start = 0
        for sequence in step:
            rows += (start + position for position in sequence.request.read_at)
            pairs += [sequence.request.read_tokens] * len(sequence.request.read_at)
            start += len(sequence.segment.tokens)
        values = iter(self._model.margins(hidden[rows], pairs) if rows else ())
        return [
            Completion(
                request_id=request.request_id,
                finish_reason="read",
                prompt_tokens=len(request.prompt_token_ids),
                margins=tuple(next(values) for _ in request.read_at),
            )
            for request in (sequence.request for sequence in step)
            if request.read_at
        ]

    def _decode(self, step: list[_Sequence], hidden: Any) -> list[Completion]:
        """Choose the next token of every sequence; the completions of those that end with it."""
        chosen: list[tuple[_Sequence, int]] = []
        stop = 0
        for sequence in step:
            stop += len(sequence.segment.tokens)
            if not sequence.request.read_at:
                chosen.append((sequence, stop - 1))
        if not chosen:
            return []
        logits = self._model.logits(hidden[[row for _, row in chosen]])
        for row, (sequence, _) in enumerate(chosen):
            if sequence.guide is not None:
                sequence.guide.mask(logits[row])
        tokens = logits.argmax(-1).tolist()
        return [c for (sequence, _), token in zip(chosen, tokens, strict=True) if (c := self._write(sequence, token))]

    def _write(self, sequence: _Sequence, token: int) -> Completion | None:
        """Take a token, and those that the grammar leaves no choice of; a completion if the sequence ends."""
        request, segment = sequence.request, sequence.segment
        new = [token] if sequence.guide is None else sequence.guide.advance(token)
        ended = next((index for index, id_ in enumerate(new) if id_ in self._stop_ids), None)
        sequence.written += new if ended is None else new[: ended + 1]
        late = time.monotonic() - sequence.started > self._spec.request_timeout_s
        if ended is None and len(sequence.written) < request.max_new_tokens and not late:
            segment.past += len(segment.tokens)
            segment.tokens = new
            return None
        segment.cache.clear()
        if late and ended is None:
            return failure(request, "TIMEOUT", f"not done after {self._spec.request_timeout_s:g} s")
        written = sequence.written[: request.max_new_tokens]
        stopped = bool(written) and written[-1] in self._stop_ids
        return Completion(
            request_id=request.request_id,
            text=self._tokenizer.decode_answer(written[:-1] if stopped else written),
            finish_reason="stop" if stopped else "length",
            prompt_tokens=len(request.prompt_token_ids),
            output_tokens=len(written),
        )


def _fatal(error: Exception) -> bool:
    """Whether a CUDA error has taken the process's whole device state with it; running out of memory has not."""
    return "CUDA error" in str(error) and "out of memory" not in str(error).lower()
