"""Engine on vLLM, in process, with continuous batching across Arrow batches.

Requests are added while earlier ones run, up to `max_in_flight`; each step of vLLM's scheduler gives back what has
finished. A read request needs no decoding beyond vLLM's minimum of one token: one read position at the prompt's end is
answered from that token's log-probabilities, several from the prompt's own. Knows nothing of documents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request, failure, is_ready
from spark_prox.errors import ModelError, reason_of
from spark_prox.models import adapter_directory, load_tokenizer, model_directory

__all__ = ["VllmEngine"]

_LIKELIEST = 20
_BATCH_TOKENS = 16_384


class VllmEngine:
    """A model served by `vllm.LLM` inside this process.

    Raises:
        ModelError: VLLM_MISSING, MODEL_UNLOADABLE.
    """

    def __init__(self, spec: ModelSpec) -> None:
        # A separate engine process would outlive a killed task and keep the GPU; compile threads would take every core.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        import torch

        # Only the V2 runner, which needs Triton, scores chosen tokens at prompt positions; the CPU build ranks them.
        self._scores_prompt = spec.device != "cpu" and torch.cuda.is_available()
        if self._scores_prompt:
            os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "1")
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise ModelError(
                "VLLM_MISSING",
                "model.engine is vllm, and vLLM is not installed here.",
                "Install it on every executor.",
            ) from error
        self._parameters = SamplingParams
        self._spec = spec
        self._tokenizer = load_tokenizer(spec.path)
        try:
            llm = LLM(model=str(model_directory(spec.path)), **_settings(spec))
        except Exception as error:
            raise ModelError(
                "MODEL_UNLOADABLE",
                f"vLLM cannot load {spec.path!r}. {reason_of(error)}",
                "model.gpu_memory_share is the share of memory that it takes, on a CPU too.",
            ) from error
        self._engine = llm.llm_engine
        self._adapter = _adapter(spec)
        self._context_tokens = int(llm.llm_engine.model_config.max_model_len)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        stream = iter(requests)
        running: dict[str, tuple[Request, float]] = {}  # in the order in which they were added
        more = True
        try:
            while more or running:
                while more and len(running) < self._spec.max_in_flight and (not running or is_ready(stream)):
                    request = next(stream, None)
                    if request is None:
                        more = False
                    elif problem := self._problem(request) or self._add(request):
                        yield problem
                    else:
                        running[str(request.request_id)] = (request, time.monotonic())
                if running:
                    for output in self._engine.step():
                        if output.finished and output.request_id in running:
                            yield self._completion(running.pop(output.request_id)[0], output)
                    yield from self._late(running)
        finally:
            if running:  # the caller stopped early: the next one uses the same request ids
                self._engine.abort_request(list(running))

    def _late(self, running: dict[str, tuple[Request, float]]) -> Iterator[Completion]:
        """Give up what has been worked on for too long."""
        limit = time.monotonic() - self._spec.request_timeout_s
        late = [id_ for id_, (_, added) in running.items() if added < limit]
        if late:
            self._engine.abort_request(late)
        for id_ in late:
            detail = f"not done after {self._spec.request_timeout_s:g} s"
            yield failure(running.pop(id_)[0], "TIMEOUT", detail)

    def close(self) -> None:
        """Free the GPU."""
        core = getattr(self._engine, "engine_core", None)
        if core is not None:
            core.shutdown()

    def _problem(self, request: Request) -> Completion | None:
        tokens = len(request.prompt_token_ids)
        if tokens and tokens + max(1, request.max_new_tokens) <= self._context_tokens:
            return None
        code = "PROMPT_TOO_LONG" if tokens else "PROMPT_EMPTY"
        detail = f"{tokens} prompt and {request.max_new_tokens} new tokens, context {self._context_tokens}"
        return failure(request, code, detail)

    def _add(self, request: Request) -> Completion | None:
        """Hand a request to vLLM; the completion of one that it refuses."""
        settings: dict[str, Any] = {}
        last = len(request.prompt_token_ids) - 1
        if request.read_at:
            settings["logprob_token_ids"] = list(request.read_tokens)
            if request.read_at[0] < last and not self._scores_prompt:
                settings["prompt_logprobs"] = _LIKELIEST
            elif request.read_at[0] < last:
                rows = last - request.read_at[0]
                settings["prompt_logprob_start"] = request.read_at[0]
                settings["prompt_logprob_token_ids"] = [list(request.read_tokens)] * rows
        if request.program_lines is not None and self._spec.constrain:
            settings["extra_args"] = {"program_lines": list(request.program_lines)}
        parameters = self._parameters(
            temperature=0.0, max_tokens=max(1, request.max_new_tokens), detokenize=False, **settings
        )
        prompt = {"prompt_token_ids": list(request.prompt_token_ids)}
        try:
            self._engine.add_request(str(request.request_id), prompt, parameters, lora_request=self._adapter)
        except ValueError as error:
            return failure(request, "REQUEST_REFUSED", type(error).__name__)
        return None

    def _completion(self, request: Request, output: Any) -> Completion:
        answer = output.outputs[0]
        prompt_tokens = len(request.prompt_token_ids)
        if not request.read_at:
            ids = list(answer.token_ids)
            return Completion(
                request_id=request.request_id,
                text=self._tokenizer.decode_answer(ids),
                finish_reason="length" if answer.finish_reason == "length" else "stop",
                prompt_tokens=prompt_tokens,
                output_tokens=len(ids),
            )
        margins = []
        for position in request.read_at:
            pair = self._pair(request, output, position)
            if pair is None:
                return failure(request, "TOKEN_NOT_RANKED", f"not among the {_LIKELIEST} likeliest at {position}")
            margins.append(pair[0] - pair[1])
        return Completion(
            request_id=request.request_id,
            finish_reason="read",
            prompt_tokens=prompt_tokens,
            output_tokens=1,
            margins=tuple(margins),
        )

    def _pair(self, request: Request, output: Any, position: int) -> tuple[float, float] | None:
        """Log-probabilities of the two tokens after a prompt position; None where the CPU build did not rank both."""
        if position == len(request.prompt_token_ids) - 1:
            table = output.outputs[0].logprobs[0]
        elif self._scores_prompt:
            first, second = output.prompt_token_id_logprobs[position - request.read_at[0]]
            return float(first), float(second)
        else:
            table = output.prompt_logprobs[position + 1]  # entry i is the distribution of prompt token i
        entries = [table.get(token) for token in request.read_tokens]
        if None in entries:
            return None
        return float(entries[0].logprob), float(entries[1].logprob)


def _settings(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of `vllm.LLM`, a reason beside each that is not a setting of ours."""
    settings: dict[str, Any] = {
        "dtype": spec.dtype,
        "trust_remote_code": False,  # code in a model's folder is not ours
        "skip_tokenizer_init": True,  # prompts come as token ids; the text is decoded here, once
        "max_num_seqs": spec.max_in_flight,
        "max_num_batched_tokens": spec.max_batch_tokens
        or _BATCH_TOKENS,  # long prompts are cut over steps (chunked prefill)
        "max_logprobs": _LIKELIEST,
        "disable_log_stats": True,
        "enable_prefix_caching": spec.prefix_caching,
        "gpu_memory_utilization": spec.gpu_memory_share,
        "enforce_eager": spec.device == "cpu",  # compiling costs minutes and gains little there
        "enable_lora": bool(spec.adapter),
    }
    if spec.max_context_tokens:
        settings["max_model_len"] = spec.max_context_tokens
    if spec.constrain:
        from spark_prox.engines.vllm_grammar import logits_processor

        settings["logits_processors"] = [logits_processor()]
    if spec.quantization:
        settings["quantization"] = spec.quantization
    if spec.adapter:
        settings["max_lora_rank"] = 64
    if spec.speculate_tokens:
        settings["speculative_config"] = {
            "method": "ngram",
            "num_speculative_tokens": spec.speculate_tokens,
            "prompt_lookup_max": 4,
        }
    return settings


def _adapter(spec: ModelSpec) -> Any:
    if not spec.adapter:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(adapter_directory(spec.adapter)))
