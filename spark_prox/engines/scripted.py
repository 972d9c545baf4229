"""An engine without a model: the same answer for every request. For tests and dry runs. Loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request

__all__ = ["ScriptedEngine", "scripted_engine"]


class ScriptedEngine:
    """Answers every generate request with `answer` and every read position with `margin`."""

    def __init__(self, answer: str, margin: float) -> None:
        self._answer = answer
        self._margin = margin

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        for request in requests:
            read = bool(request.read_at)
            yield Completion(
                request_id=request.request_id,
                text="" if read else self._answer,
                finish_reason="read" if read else "stop",
                prompt_tokens=len(request.prompt_token_ids),
                margins=(self._margin,) * len(request.read_at),
            )


def scripted_engine(spec: ModelSpec) -> ScriptedEngine:
    """The engine that answers with a spec's script."""
    return ScriptedEngine(spec.script, spec.script_margin)
