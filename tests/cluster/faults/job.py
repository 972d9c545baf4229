"""`spark-submit jobs/refine.py` as a process that can be killed whole: its JVM and its Python at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.standalone import ROOT, SPARK_HOME, StandaloneCluster, clean_environment
from tests.quick_spark import QUICK_JVM, QUICK_SESSION

__all__ = ["EMBEDDED", "SCRIPTED", "Job", "launch", "refine_command", "start"]

_SESSION = {
    **QUICK_SESSION,
    "spark.pyspark.driver.python": sys.executable,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "700m",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",  # an executor on each worker
    "spark.driver.extraJavaOptions": QUICK_JVM,
    "spark.executor.extraJavaOptions": QUICK_JVM,
}
SCRIPTED = ("model.engine=scripted", "model.script=remove_lines(start=0, end=1)", "chunk.template=prox-chunk")
EMBEDDED = ("model.engine=transformers", "model.device=cpu")


@dataclass(frozen=True)
class Job:
    """A run that has started; as a context it is killed at the end if it still goes on."""

    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait(self, timeout_s: float = 600) -> int:
        """Its exit code; a run that hangs is killed, which is an exit code too."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout_s)
        self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL for the JVM and the Python process of the driver."""
        with suppress(ProcessLookupError):  # it may have ended by itself in this moment
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def refine_command(
    *, master: str, python: Path | str, source: Path, warehouse: Path, settings: Sequence[str]
) -> list[str]:
    """The command line.

    Args:
        python: interpreter of the executors.
        settings: for --set.
    """
    session = {**_SESSION, "spark.pyspark.python": str(python)}
    return [
        *(str(SPARK_HOME / "bin" / "spark-submit"), "--master", master),
        *(word for name, value in session.items() for word in ("--conf", f"{name}={value}")),
        *("jobs/refine.py", "--warehouse", str(warehouse), "--input", str(source), "--input-format", "jsonl"),
        *("--id-column", "id", "--text-column", "text"),
        *(word for setting in settings for word in ("--set", setting)),
    ]


def start(cluster: StandaloneCluster, log: Path, *, source: Path, warehouse: Path, settings: Sequence[str]) -> Job:
    """Start a refine run on the cluster."""
    command = refine_command(
        master=cluster.url, python=cluster.python, source=source, warehouse=warehouse, settings=settings
    )
    return launch(command, log)


def launch(command: Sequence[str], log: Path) -> Job:
    """Start a command in a process group of its own, with this checkout for the driver."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            # The driver runs this checkout, whatever is installed; executors get it as a zip.
            env=clean_environment(PYTHONPATH=str(ROOT)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Job(process, log)
