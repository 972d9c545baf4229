"""Our generating function with an engine that writes down when each answer came. Spark's workers import it by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.watching import AnswerLog
from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Completion, Request
from spark_prox.engines.registry import ENGINES, EngineKind
from udfs.generate import GeneratePrograms

if TYPE_CHECKING:
    import pandas as pd

_REAL = dict(ENGINES)


class LoggedEngine:
    """Any engine, its answers written down as they come."""

    def __init__(self, spec: ModelSpec) -> None:
        self._engine = _REAL[spec.engine].maker()(spec)
        self._log = AnswerLog(os.environ["BENCH_ANSWERS"])

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See `Engine`."""
        for done in self._engine.complete(requests):
            self._log.add([(done.prompt_tokens, done.output_tokens)])
            yield done


@dataclass(frozen=True, kw_only=True)
class GenerateAndLog(GeneratePrograms):
    """Generating with the logged engine."""

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """See `GeneratePrograms`."""
        ENGINES[self.model.engine] = EngineKind(module=__name__, name="LoggedEngine")
        return super().__call__(batches)
