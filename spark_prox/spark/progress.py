"""A line about something that takes long: redrawn in place on a terminal, added once a minute to a log.

A thread asks for the line. Knows nothing of what runs.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from spark_prox.terminal import shown

__all__ = ["LiveLine", "announce", "announced"]

_REDRAW_S = 0.5
_LOG_WIDTH = 300
_writing = threading.Lock()


def announce(what: str) -> None:
    """One line on standard error about what comes next."""
    _write(what, final=True)


@contextmanager
def announced(what: str) -> Iterator[None]:
    """A line before something that takes long, and one with its time when it is done."""
    began = time.monotonic()
    announce(f"{what} ...")
    yield
    announce(f"{what}: done in {time.monotonic() - began:.0f} s")


class LiveLine:
    """Context manager around something long.

    Args:
        line: gives the line as it is now.
        every_s: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, line: Callable[[], str], *, every_s: float = 60.0) -> None:
        self._line = line
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> LiveLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        if sys.stderr.isatty():
            _write("", final=False)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(min(_REDRAW_S, self._every_s)):
            terminal, now = sys.stderr.isatty(), time.monotonic()
            if not terminal and now - last < self._every_s:
                continue
            last = now
            try:
                line = self._line()
            except Exception:  # noqa: BLE001 - a progress line must never end a run
                continue
            if not self._stop.is_set():
                _write(line, final=not terminal)


def _write(line: str, *, final: bool) -> None:
    """Write a line; one that is not final is replaced by the next one, so it must not be wider than the terminal."""
    terminal = sys.stderr.isatty()
    width = shutil.get_terminal_size().columns - 1 if terminal and not final else _LOG_WIDTH
    start = "\r\x1b[K" if terminal else ""
    with _writing:
        sys.stderr.write(f"{start}{shown(line, max(width, 20))}" + ("\n" if final else ""))
        sys.stderr.flush()
