"""Push the figures of running stages to a Prometheus push gateway, for those who watch many runs on one board.

A gateway that is slow, wrong or gone costs a warning and never a run. Knows numbers by name, no Spark.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from spark_prox.config.progress import ProgressConfig
from spark_prox.errors import SetupError

__all__ = ["PushGateway"]

_TIMEOUT_S = 3.0
Samples = Callable[[], Mapping[str, Mapping[str, float]]]


class PushGateway:
    """Context manager: pushes from a thread while a stage runs, and once at its end.

    Args:
        run_id: a label of every figure: two runs do not overwrite each other.
        samples: figures by stage and name, as they are now.
        warn: is told once, when the gateway does not answer.

    Raises:
        SetupError: PROMETHEUS_MISSING.
    """

    def __init__(self, config: ProgressConfig, run_id: str, samples: Samples, warn: Callable[[str], None]) -> None:
        try:
            import prometheus_client  # noqa: F401 - said now, not after an hour
        except ImportError:
            raise SetupError(
                "PROMETHEUS_MISSING",
                "progress.push_gateway is set, and the package prometheus_client is not installed.",
                "pip install prometheus_client, or leave progress.push_gateway out.",
            ) from None
        self._config = config
        self._run_id = run_id
        self._samples = samples
        self._warn = warn
        self._answers = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to push; does nothing when it did."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="push-gateway", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Push a last time, unless the gateway was dead before, and end the thread."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(timeout=2 * _TIMEOUT_S)
            self._thread = None

    def push(self) -> bool:
        """Push what is known now; tells whether the gateway took it."""
        from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

        registry = CollectorRegistry()
        gauges: dict[str, Gauge] = {}
        for stage, figures in self._samples().items():
            for name, value in figures.items():
                if name not in gauges:
                    gauges[name] = Gauge(f"spark_prox_{name}", _HELP.get(name, name), ["stage"], registry=registry)
                gauges[name].labels(stage).set(value)
        assert self._config.push_gateway is not None
        try:
            push_to_gateway(
                self._config.push_gateway,
                job=self._config.push_job,
                grouping_key={"run_id": self._run_id},
                registry=registry,
                timeout=_TIMEOUT_S,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            if self._answers:
                self._warn(f"the push gateway does not answer ({type(error).__name__}); the run goes on without it")
            self._answers = False
            return False
        self._answers = True
        return True

    def _watch(self) -> None:
        while not self._stop.wait(self._config.push_every_s):
            self._push_quietly()
        if self._answers:
            self._push_quietly()

    def _push_quietly(self) -> None:
        with suppress(Exception):  # a figure that cannot be told must not end the thread
            self.push()


_HELP = {
    "documents": "documents that the stage has worked on, those in flight estimated",
    "planned_documents": "documents that the stage found to do",
    "skipped_documents": "documents that were done by earlier runs",
    "rejects": "records and documents that became rows of the table rejects",
    "programs": "programs that were stored",
    "failed": "programs without an answer, or documents that failed or were refused",
    "prompt_tokens": "tokens of prompts",
    "output_tokens": "tokens of answers",
    "tokens_per_second": "tokens over the time of the stage",
    "keep_rate": "share of documents that are kept",
    "share_done": "share of the planned documents that is done",
    "seconds": "how long the stage has been running",
    "seconds_left": "how long the stage will take at its speed so far",
}
