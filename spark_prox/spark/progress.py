"""Progress of a long Spark action, on the terminal: tasks done, time gone, time left.

A thread asks Spark's status tracker; nothing is added to the plan. On a terminal one line is rewritten; in a log a line
is added every half minute. Knows nothing of what runs.
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from pyspark.sql import SparkSession

__all__ = ["Progress", "announce"]

_POLL_S = 0.5
_LOG_EVERY_S = 10.0


def announce(what: str) -> None:
    """One line on standard error about what comes next."""
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


class Progress:
    """Context manager around a Spark action.

    Args:
        what: what is done, for example "generate chunk".
        step: which batch this is, from 1.
        steps: how many batches there are.
        documents: documents in this batch, for the first line.
    """

    def __init__(self, spark: SparkSession, what: str, *, step: int = 1, steps: int = 1, documents: int = 0) -> None:
        self._tracker = spark.sparkContext.statusTracker()
        batch = f" {step}/{steps}" if steps > 1 else ""
        self._what = f"{what}{batch}" + (f": {documents:,} documents" if documents else "")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._started = 0.0

    def __enter__(self) -> Progress:
        self._started = time.monotonic()
        self._write(f"{self._what} ...", final=not sys.stderr.isatty())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        state = "done" if kind is None else "failed"
        self._write(f"{self._what}: {state} in {time.monotonic() - self._started:.1f} s", final=True)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(_POLL_S):
            now = time.monotonic()
            terminal = sys.stderr.isatty()
            if not terminal and now - last < _LOG_EVERY_S:
                continue
            last = now
            try:
                line = self._line(now - self._started)
            except Exception:  # noqa: BLE001 - a progress line must never end a run
                continue
            self._write(line, final=not terminal)

    def _line(self, gone_s: float) -> str:
        done = total = 0
        for stage_id in self._tracker.getActiveStageIds():
            info = self._tracker.getStageInfo(stage_id)
            if info is not None:
                done += info.numCompletedTasks
                total += info.numTasks
        left = f", about {gone_s / done * (total - done):.0f} s left" if done else ""
        return f"{self._what}: {done}/{total} tasks, {gone_s:.0f} s{left}"

    def _write(self, line: str, *, final: bool) -> None:
        start = "\r\x1b[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{start}{line}" + ("\n" if final else ""))
        sys.stderr.flush()
