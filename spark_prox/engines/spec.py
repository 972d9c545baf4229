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
        engine: "auto" takes vllm where a GPU and vLLM are there, transformers otherwise.
        dtype: "auto" means bfloat16 on a GPU and float32 on a CPU; otherwise float32, bfloat16, float16.
        device: "auto", "cpu" or "cuda".
        max_batch_tokens: most tokens, padding included, in one forward pass of the transformers engine.
        max_in_flight: most requests that an engine holds at once.
        threads: CPU threads of one engine; 0 leaves it to torch.
        script: for the scripted engine: the answer that every request gets.
        script_margin: for the scripted engine: the margin that every read position gets.
    """

    path: str = "embedded"
    revision: str = ""
    engine: Literal["auto", "transformers", "vllm", "scripted"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_batch_tokens: int = 16_384
    max_in_flight: int = 256
    threads: int = 1
    script: str = "keep_chunk()"
    script_margin: float = 10.0
