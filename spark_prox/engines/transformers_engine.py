"""Engine on transformers and torch, for CPUs and for GPUs without vLLM.

Requests are gathered into a window, sorted by length and run in batches under a token budget, padding included. Read
requests need one forward pass and two rows of the output embedding. Right-padded batches under a causal mask need no
attention mask, and passing one would take torch off its fast attention path. Knows nothing of documents.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from spark_prox.engines.base import Completion, Request, failure
from spark_prox.engines.spec import ModelSpec
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer, model_directory, model_setting

__all__ = ["TransformersEngine"]

_log = logging.getLogger(__name__)


class TransformersEngine:
    """A causal language model loaded by transformers.

    Raises:
        ModelError: MODEL_UNLOADABLE when the files are not a causal language model that transformers knows.
    """

    def __init__(self, spec: ModelSpec) -> None:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        if spec.adapter:
            raise ModelError(
                "ADAPTER_UNSUPPORTED", "The transformers engine loads no adapter.", "Merge it, or use vllm."
            )
        directory = str(model_directory(spec.path))
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._torch = torch
        self._spec = spec
        self._device = _device(spec.device)
        try:
            model = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=_dtype(spec.dtype, self._device),
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise ModelError(
                "MODEL_UNLOADABLE",
                f"{spec.path!r} cannot be loaded as a causal language model: {type(error).__name__}.",
                "Check config.json and that the weights are complete.",
            ) from error
        self._model = model.to(self._device).eval()
        self._tokenizer = load_tokenizer(spec.path)
        self._context_tokens = int(model.config.max_position_embeddings)
        self._stop_ids = _as_ids(model_setting(spec.path, "eos_token_id"))
        self._pad_id = (_as_ids(model_setting(spec.path, "pad_token_id")) or self._stop_ids or [0])[0]

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`. Windows of `max_in_flight` requests, the longest first."""
        stream = iter(requests)
        while window := list(itertools.islice(stream, self._spec.max_in_flight)):
            for request in window:
                if problem := self._problem(request):
                    yield problem
            runnable = [request for request in window if self._problem(request) is None]
            for batch in self._batches(runnable):
                yield from self._run(batch)

    def _problem(self, request: Request) -> Completion | None:
        tokens = len(request.prompt_token_ids)
        if tokens == 0:
            return failure(request, "PROMPT_EMPTY", "the prompt has no token")
        if tokens + request.max_new_tokens > self._context_tokens:
            return failure(
                request,
                "PROMPT_TOO_LONG",
                f"{tokens} prompt and {request.max_new_tokens} new tokens, context {self._context_tokens}",
            )
        return None

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Batches of one kind and of similar length whose padded size stays under the token budget."""
        ordered = sorted(requests, key=lambda r: (bool(r.read_at), len(r.prompt_token_ids)), reverse=True)
        for _, kind in itertools.groupby(ordered, key=lambda r: bool(r.read_at)):
            batch: list[Request] = []
            widest = 0
            for request in kind:
                size = len(request.prompt_token_ids) + request.max_new_tokens
                widest = max(widest, size)
                if batch and widest * (len(batch) + 1) > self._spec.max_batch_tokens:
                    yield batch
                    batch, widest = [], size
                batch.append(request)
            if batch:
                yield batch

    def _run(self, batch: list[Request]) -> list[Completion]:
        """Run one batch; on an error halve it, until the request that causes it stands alone and gets a code."""
        try:
            with self._torch.inference_mode():
                return self._read(batch) if batch[0].read_at else self._generate(batch)
        except Exception as error:  # noqa: BLE001 - whatever torch raises must end as a row, not as a dead task
            if self._device == "cuda":
                self._torch.cuda.empty_cache()
            if len(batch) == 1:
                code = "OUT_OF_MEMORY" if "out of memory" in str(error).lower() else "ENGINE_ERROR"
                return [failure(batch[0], code, type(error).__name__)]
            _log.warning("batch of %d requests failed with %s; halving it", len(batch), type(error).__name__)
            middle = len(batch) // 2
            return self._run(batch[:middle]) + self._run(batch[middle:])

    def _read(self, batch: list[Request]) -> list[Completion]:
        torch = self._torch
        width = max(len(request.prompt_token_ids) for request in batch)
        ids = torch.full((len(batch), width), self._pad_id, dtype=torch.long)
        for row, request in enumerate(batch):
            ids[row, : len(request.prompt_token_ids)] = torch.tensor(request.prompt_token_ids)
        hidden = self._model.model(input_ids=ids.to(self._device), use_cache=False).last_hidden_state
        rows = [row for row, request in enumerate(batch) for _ in request.read_at]
        columns = [position for request in batch for position in request.read_at]
        states = hidden[rows, columns]
        # log p(a) - log p(b) is the difference of the two logits: the normaliser is the same for both.
        output = self._model.get_output_embeddings().weight
        first = output[[request.read_tokens[0] for request in batch for _ in request.read_at]]
        second = output[[request.read_tokens[1] for request in batch for _ in request.read_at]]
        margins = ((first.float() - second.float()) * states.float()).sum(-1).cpu().tolist()
        completions, start = [], 0
        for request in batch:
            stop = start + len(request.read_at)
            completions.append(
                Completion(
                    request_id=request.request_id,
                    finish_reason="read",
                    prompt_tokens=len(request.prompt_token_ids),
                    margins=tuple(margins[start:stop]),
                )
            )
            start = stop
        return completions

    def _generate(self, batch: list[Request]) -> list[Completion]:
        torch = self._torch
        width = max(len(request.prompt_token_ids) for request in batch)
        ids = torch.full((len(batch), width), self._pad_id, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, request in enumerate(batch):
            ids[row, width - len(request.prompt_token_ids) :] = torch.tensor(request.prompt_token_ids)
            mask[row, width - len(request.prompt_token_ids) :] = 1
        output = self._model.generate(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            max_new_tokens=max(request.max_new_tokens for request in batch),
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=self._stop_ids or None,
            pad_token_id=self._pad_id,
        )[:, width:].tolist()
        return [self._generated(request, tokens) for request, tokens in zip(batch, output, strict=True)]

    def _generated(self, request: Request, tokens: list[int]) -> Completion:
        tokens = tokens[: request.max_new_tokens]
        stop = next((index for index, token in enumerate(tokens) if token in self._stop_ids), None)
        written = tokens if stop is None else tokens[:stop]
        return Completion(
            request_id=request.request_id,
            text=self._tokenizer.decode(written, skip_special_tokens=True),
            finish_reason="length" if stop is None else "stop",
            prompt_tokens=len(request.prompt_token_ids),
            output_tokens=len(written) + (stop is not None),
        )


def _as_ids(setting: Any) -> list[int]:
    if setting is None:
        return []
    return [int(value) for value in setting] if isinstance(setting, list) else [int(setting)]


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _dtype(name: str, device: str) -> Any:
    import torch

    if name == "auto":
        name = "bfloat16" if device == "cuda" else "float32"
    return getattr(torch, name)
