"""CPU seconds of a run's processes, from /proc: the JVM, Spark's Python workers, and the driver's own Python.

Seconds of CPU do not count what else runs on the machine, as seconds of a clock do. Spark's daemons ignore the end of
their Python workers, and the kernel then tells nobody what those used: they are looked at while they live. Knows no
Spark.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuTimes", "CpuWatch"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class CpuTimes:
    """CPU seconds, user and system.

    Attributes:
        jvm: the JVM, and what it started and saw ending.
        workers: the daemons under it that fork Python workers, and all workers, those that have ended included.
        driver: the Python process that started the JVM, without its children.
    """

    jvm: float = 0.0
    workers: float = 0.0
    driver: float = 0.0

    def __sub__(self, other: CpuTimes) -> CpuTimes:
        return CpuTimes(
            jvm=self.jvm - other.jvm, workers=self.workers - other.workers, driver=self.driver - other.driver
        )

    def __add__(self, other: CpuTimes) -> CpuTimes:
        return CpuTimes(
            jvm=self.jvm + other.jvm, workers=self.workers + other.workers, driver=self.driver + other.driver
        )

    @property
    def total(self) -> float:
        """All of them."""
        return self.jvm + self.workers + self.driver


class CpuWatch:
    """Follows the processes under a driver, in a thread, as a context manager."""

    def __init__(self, driver: int, proc: Path = Path("/proc"), every_s: float = 0.5) -> None:
        """
        Args:
            driver: the process id of the driver's Python.
            proc: where the processes are listed.
            every_s: a worker's last seconds before its end are lost up to so many.
        """
        self._driver = driver
        self._proc = proc
        self._every_s = every_s
        self._workers: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> CpuWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> CpuTimes:
        """CPU seconds up to now."""
        with self._lock:
            children: dict[int, list[_Process]] = {}
            for entry in self._proc.iterdir():
                if entry.name.isdigit() and (process := _read(entry / "stat")) is not None:
                    children.setdefault(process.parent, []).append(process)
            everybody = [process for some in children.values() for process in some]
            jvm = 0.0
            for java in _below(self._driver, children):
                if java.name == "java":
                    jvm += java.own + java.ended_children  # such as a chmod
                    self._workers.update(((one.pid, one.started), one.own) for one in _below(java.pid, children))
            driver = sum(process.own for process in everybody if process.pid == self._driver)
            return CpuTimes(jvm=jvm, workers=sum(self._workers.values()), driver=driver)

    def _follow(self) -> None:
        while not self._ended.wait(self._every_s):
            self.now()


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    name: str
    started: int
    own: float
    ended_children: float


def _below(pid: int, children: dict[int, list[_Process]]) -> list[_Process]:
    found = list(children.get(pid, ()))
    for process in found:
        found += children.get(process.pid, ())
    return found


def _read(file: Path) -> _Process | None:
    """One process; None for one that has just ended."""
    try:
        words = file.read_text(errors="replace")
    except OSError:
        return None
    pid, _, rest = words.partition(" (")
    name, _, values = rest.rpartition(") ")  # a name may hold brackets and blanks
    fields = values.split()
    user, system, ended_user, ended_system = (int(value) / _TICKS for value in fields[11:15])
    return _Process(int(pid), int(fields[1]), name, int(fields[19]), user + system, ended_user + ended_system)
