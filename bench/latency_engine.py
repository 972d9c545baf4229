"""An engine that stands for a GPU: it sleeps for each token, and its tasks write down when they ran and how they slept.

Two cores run eight such workers, because sleeping costs no CPU. Spark's Python workers import this module by its name.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request
from spark_prox.engines.registry import ENGINES, EngineKind
from udfs.generate import GeneratePrograms

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FOLDER", "LATENCY", "TASKS", "GenerateWithLatency", "LatencyEngine"]

FOLDER = "BENCH_SCALING"
"""The variable that names the folder of the two files: seconds of a token, and a line for each task."""
LATENCY, TASKS = "token_s", "tasks"
_NAP_S = 0.02  # shorter sleeps are not exact


class LatencyEngine:
    """Answers "keep" after as long as the tokens of a request take."""

    slept_s = 0.0
    tokens = 0

    def __init__(self, spec: ModelSpec) -> None:
        self._margin = spec.script_margin
        self._token_s = float(Path(os.environ[FOLDER], LATENCY).read_text())

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        due = 0.0
        for request in requests:
            due += len(request.prompt_token_ids) * self._token_s
            if due >= _NAP_S:
                due -= self._sleep(due)
            LatencyEngine.tokens += len(request.prompt_token_ids)
            yield Completion(
                request_id=request.request_id,
                text="keep_chunk()",
                finish_reason="read" if request.read_at else "stop",
                prompt_tokens=len(request.prompt_token_ids),
                margins=(self._margin,) * len(request.read_at),
            )
        self._sleep(max(0.0, due))

    @staticmethod
    def _sleep(seconds: float) -> float:
        """Sleep; gives how long it took, so that a late wake-up is not paid twice."""
        started = time.monotonic()
        time.sleep(seconds)
        taken = time.monotonic() - started
        LatencyEngine.slept_s += taken
        return taken


@dataclass(frozen=True, kw_only=True)
class GenerateWithLatency(GeneratePrograms):
    """Generating with `LatencyEngine` in place of the scripted one."""

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """See `GeneratePrograms`."""
        ENGINES["scripted"] = EngineKind(module=__name__, name="LatencyEngine")
        begun, slept, tokens = time.time(), LatencyEngine.slept_s, LatencyEngine.tokens
        yield from super().__call__(batches)
        row = {
            "worker": os.getpid(),
            "begun": begun,
            "ended": time.time(),
            "slept": LatencyEngine.slept_s - slept,
            "tokens": LatencyEngine.tokens - tokens,
        }
        with Path(os.environ[FOLDER], TASKS).open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
