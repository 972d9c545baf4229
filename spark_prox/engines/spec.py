"""Which model, loaded how: the part of an engine that travels from driver to executors. Loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ModelSpec"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A refining model and how to run it. Hashable: an engine is loaded once per spec and process.

    Attributes:
        path: model directory in Hugging Face layout, visible to every executor; "embedded" for the refiner that ships
            with spark_prox; a free name for the scripted engine.
        revision: what identifies the weights in the tables; empty means a hash of the files, taken on the driver.
        engine: "auto" takes vllm where a GPU and vLLM are there, transformers otherwise; "openai" asks a server.
        dtype: "auto" means bfloat16 on a GPU and float32 on a CPU; otherwise float32, bfloat16, float16.
        device: "auto", "cpu" or "cuda".
        max_batch_tokens: most tokens in one forward pass; with transformers, padding included. More fills a GPU better
            until its memory is full; on a CPU more only costs memory.
        max_in_flight: most requests that an engine holds at once.
        threads: CPU threads of one engine; 0 leaves it to torch.
        max_context_tokens: window that vLLM reserves cache for; 0 takes the model's own.
        quantization: vLLM's; "fp8" halves weights and nearly doubles prefill speed on Hopper, "" is exact.
        adapter: directory of a LoRA adapter for the model, vLLM only.
        prefix_caching: vLLM keeps the computed template; it is the same at the start of every prompt.
        speculate_tokens: vLLM guesses so many tokens from the prompt (n-gram) before it verifies them; 0 for none.
            Helps where programs quote long strings of the document, costs where they are short.
        gpu_memory_share: share of the GPU's memory for this engine; below 0.5 where two share a GPU.
        base_url: for the openai engine, for example http://host:8000/v1; `path` then needs the tokenizer alone.
        served_name: for the openai engine, what the server calls the model; empty means `path`.
        timeout_s: for the openai engine, how long one request may take.
        script: for the scripted engine: the answer that every request gets.
        script_margin: for the scripted engine: the margin that every read position gets.
    """

    path: str = "embedded"
    revision: str = ""
    engine: Literal["auto", "transformers", "vllm", "openai", "scripted"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_batch_tokens: int = 16_384
    max_in_flight: int = 256
    threads: int = 1
    max_context_tokens: int = 0
    quantization: str = ""
    adapter: str = ""
    prefix_caching: bool = True
    speculate_tokens: int = 0
    gpu_memory_share: float = 0.9
    base_url: str = ""
    served_name: str = ""
    timeout_s: float = 120.0
    script: str = "keep_chunk()"
    script_margin: float = 10.0
