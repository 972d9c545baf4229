"""The engines by name. An engine is one module and one line here; `model.engine` names it.

Knows where an engine's class is and imports it only when the engine is loaded, so that torch and vLLM stay out of a
process that needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spark_prox.config.model import ModelSpec
    from spark_prox.engines.base import Engine

__all__ = ["AUTO", "ENGINES", "ENGINE_NAMES", "HEURISTIC", "EngineKind", "EngineMaker"]

AUTO, HEURISTIC = "auto", "author"


class EngineMaker(Protocol):
    """The function that an engine's module offers: it loads the model of a spec."""

    def __call__(self, spec: ModelSpec) -> Engine:
        """The loaded engine.

        Raises:
            ModelError: the model cannot be loaded, or its engine is not installed.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """One engine.

    Attributes:
        module, name: where its class or function is, an `EngineMaker`.
        reads_weights: False where a server holds the weights, so that `model.path` needs the tokenizer alone.
    """

    module: str
    name: str
    reads_weights: bool = True

    def maker(self) -> EngineMaker:
        """Import the module and give what loads the engine."""
        maker: EngineMaker = getattr(import_module(self.module), self.name)
        return maker


ENGINES: dict[str, EngineKind] = {
    "transformers": EngineKind(module="spark_prox.engines.loading", name="load_transformers_engine"),
    "encoder": EngineKind(module="spark_prox.engines.encoder_engine", name="EncoderEngine"),
    "vllm": EngineKind(module="spark_prox.engines.vllm_engine", name="VllmEngine"),
    "openai": EngineKind(module="spark_prox.engines.openai_engine", name="OpenAIEngine", reads_weights=False),
    "scripted": EngineKind(module="spark_prox.engines.scripted", name="scripted_engine"),
}

ENGINE_NAMES = (AUTO, *ENGINES, HEURISTIC)
"""What `model.engine` may be. "author" is no engine: a heuristic writes the programs, see `spark_prox.writers`."""
