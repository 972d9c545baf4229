"""Servers as processes on this machine: loopback only, a log each, and an end whatever becomes of the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["CLOUD", "ROOT", "background", "free_port", "wait_for"]

ROOT = Path(__file__).parent.parent.parent
CLOUD = ROOT / ".venv" / "cloud"
"""Made by dev/setup_cloud.py."""


@contextmanager
def background(
    command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own, and end the group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            # The pipe ends with this process, even if it is killed: then the group ends too.
            ["bash", "-c", '"$@" & read -r _; kill -KILL 0', "bash", *command],
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, log: Path, *, timeout_s: float) -> None:
    """Poll until the condition holds.

    Raises:
        TimeoutError: it does not, or a server in Java has died; with the end of the log.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end or 'Exception in thread "main"' in log.read_text(errors="replace"):
            raise TimeoutError(f"{what} within {timeout_s:.0f} s:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)
