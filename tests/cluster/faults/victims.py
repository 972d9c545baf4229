"""What can be killed in a run on a standalone cluster, and how it comes back."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.cluster import standalone
from tests.cluster.faults.job import Job
from tests.cluster.standalone import StandaloneCluster

__all__ = ["KINDS", "fix", "kill"]

KINDS = ("driver", "executor", "python worker", "worker daemon")
_DAEMON = "org.apache.spark.deploy.worker.Worker"


def kill(kind: str, cluster: StandaloneCluster, job: Job, rng: random.Random) -> bool:
    """SIGKILL one process of a kind as soon as there is one; False when the run ended before."""
    while job.running:
        if kind == "driver":
            job.kill()
            return job.process.returncode == -signal.SIGKILL
        victims = _processes(kind, cluster)
        if victims:
            with suppress(ProcessLookupError):  # it may end in this moment
                os.kill(rng.choice(victims), signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


def fix(cluster: StandaloneCluster) -> None:
    """Start the worker daemons that are gone; executors and Python workers come back by themselves."""
    commands = " ".join(command for pid, command in cluster.processes().items() if _is_daemon(command))
    for number in range(cluster.workers):
        if f"worker-{number}.conf" not in commands:
            standalone._start_worker(cluster, number)
            standalone._wait(cluster, f"worker-{number}", r"(Successfully registered with master)")


def _processes(kind: str, cluster: StandaloneCluster) -> list[int]:
    running = cluster.processes()
    if kind == "executor":
        return cluster.executors()
    if kind == "worker daemon":
        return sorted(pid for pid, command in running.items() if _is_daemon(command))
    # The daemon of an executor forks its workers, and they keep its command line.
    forks = {pid for pid, command in running.items() if "pyspark.daemon" in command}
    return sorted(pid for pid in forks if _parent(pid) in forks)


def _is_daemon(command: str) -> bool:
    return _DAEMON in command and not command.startswith("bash ")


def _parent(pid: int) -> int:
    with suppress(OSError):
        # The fields after the name, which is in brackets and may hold anything: state, parent, ...
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return 0
