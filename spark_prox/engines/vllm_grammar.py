"""Constrained decoding inside vLLM: our grammar as one of its logits processors, one guide for each request.

vLLM's own structured outputs know no grammar in which line numbers ascend, and would need its tokenizer, which this
project does not load. Knows vLLM's interface and nothing of the engine around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spark_prox.engines.grammar import ProgramGrammar
from spark_prox.models import load_tokenizer, model_token_ids

__all__ = ["logits_processor"]


def logits_processor() -> type:
    """A class for `vllm.LLM(logits_processors=[...])`.

    It masks the logits of requests whose `extra_args` name the lines that a program may touch: `program_lines`.
    """
    from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

    class ProgramLogitsProcessor(AdapterLogitsProcessor):  # type: ignore[misc]
        def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
            super().__init__(vllm_config, device, is_pin_memory)
            path = str(vllm_config.model_config.model)
            self._grammar = ProgramGrammar(load_tokenizer(path), model_token_ids(path, "eos_token_id"))

        def is_argmax_invariant(self) -> bool:
            return False  # what greedy decoding chooses is the point

        def new_req_logits_processor(self, params: Any) -> Callable[[list[int], Any], Any] | None:
            lines = (params.extra_args or {}).get("program_lines")
            return None if lines is None else _processor(self._grammar, (lines[0], lines[1]))

    return ProgramLogitsProcessor


def _processor(grammar: ProgramGrammar, lines: tuple[int, int]) -> Callable[[list[int], Any], Any]:
    guide = grammar.guide(lines)
    taken = 0

    def process(output_ids: list[int], logits: Any) -> Any:
        nonlocal taken
        for token in output_ids[taken:]:
            guide.accept(token)
        taken = len(output_ids)
        guide.mask(logits)
        return logits

    return process
