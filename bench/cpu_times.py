"""CPU seconds of a run's processes, from /proc: the JVM, Spark's Python workers, and the driver's own Python.

Seconds of CPU do not count what else runs on the machine, as seconds of a clock do. Knows no Spark.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuTimes", "cpu_times"]

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


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    name: str
    own: float
    ended_children: float


def cpu_times(driver: int, proc: Path = Path("/proc")) -> CpuTimes:
    """CPU seconds up to now.

    Args:
        driver: the process id of the driver's Python.
        proc: where the processes are listed.
    """
    children: dict[int, list[_Process]] = {}
    by_pid: dict[int, _Process] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit() and (process := _read(entry / "stat")) is not None:
            by_pid[process.pid] = process
            children.setdefault(process.parent, []).append(process)
    jvm = workers = 0.0
    for java in _below(driver, children):
        if java.name == "java":
            jvm += java.own + java.ended_children
            # A worker that has ended is counted with the daemon that forked it.
            workers += sum(worker.own + worker.ended_children for worker in _below(java.pid, children))
    return CpuTimes(jvm=jvm, workers=workers, driver=by_pid[driver].own if driver in by_pid else 0.0)


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
    return _Process(int(pid), int(fields[1]), name, user + system, ended_user + ended_system)
