"""A standalone Spark cluster as processes on this machine: a master and workers, loopback only, logs in a folder.

Each worker finds its GPUs the real way, `conf/gpus.sh` as discovery script, with a fake `nvidia-smi` on its PATH that
gives it two GPUs of its own: 0 and 1 for the first worker, 2 and 3 for the second. Knows nothing of spark_prox.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

ROOT = Path(__file__).parent.parent.parent
SPARK_HOME = Path(pyspark.__file__).parent
GPUS_PER_WORKER = 2
# More cores than GPUs, so that a stage without GPUs can be told from one with. They are numbers that Spark counts with:
# the machine may have fewer.
CORES_PER_WORKER = 4
MARK = "SPARK_PROX_TEST_CLUSTER"
START_TIMEOUT_S = 90


@dataclass
class StandaloneCluster:
    """A running master and its workers."""

    url: str
    folder: Path
    mark: str
    python: Path
    workers: int
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def gpus(self) -> list[str]:
        """Addresses of all GPUs, each on one worker only."""
        return [str(n) for n in range(self.workers * GPUS_PER_WORKER)]

    @property
    def cores(self) -> int:
        """Cores of all workers."""
        return self.workers * CORES_PER_WORKER

    def executors(self) -> list[int]:
        """Process ids of the executors that run now."""
        return sorted(pid for pid, command in _marked(self.mark).items() if "CoarseGrainedExecutorBackend" in command)

    def processes(self) -> dict[int, str]:
        """Everything that the cluster started and that still runs, with its command line."""
        return _marked(self.mark)

    def log(self, name: str) -> str:
        """What the master or a worker wrote."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def standalone_cluster(folder: Path, *, workers: int = 2) -> Iterator[StandaloneCluster]:
    """Start a cluster and end it with everything that it started, whatever happens in between."""
    mark = uuid.uuid4().hex
    cluster = StandaloneCluster(
        url="", folder=folder, mark=mark, python=bare_interpreter(folder / "bare"), workers=workers
    )
    (folder / "conf").mkdir()
    _write_fake_nvidia_smi(folder / "bin" / "nvidia-smi")
    try:
        _start(cluster, "master", "org.apache.spark.deploy.master.Master", ["--port", "0"])
        cluster.url = _wait(cluster, "master", r"Starting Spark master at (spark://127\.0\.0\.1:\d+)")
        for number in range(workers):
            _start_worker(cluster, number)
        for number in range(workers):
            _wait(cluster, f"worker-{number}", r"(Successfully registered with master)")
        yield cluster
    finally:
        _stop(cluster)


def bare_interpreter(folder: Path) -> Path:
    """A Python with every package of this environment, but without spark_prox.

    Its site-packages is one line that names this environment's: Python reads no .pth file from a folder named that
    way, and so not the one of the editable installation.
    """
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "environment.pth").write_text(f"{SPARK_HOME.parent}\n", encoding="utf-8")
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    (folder / "pyvenv.cfg").write_text(
        f"home = {Path(sys.executable).resolve().parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    return python


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would give an executor the checkout, or another Spark."""
    left_out = ("PYTHONPATH", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_ENV_LOADED", "CUDA_VISIBLE_DEVICES")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", **extra}


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 60) -> None:
    """Poll until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {timeout_s:.0f} s")
        time.sleep(0.1)


def _start_worker(cluster: StandaloneCluster, number: int) -> None:
    properties = cluster.folder / "conf" / f"worker-{number}.conf"
    properties.write_text(
        f"spark.worker.resource.gpu.amount {GPUS_PER_WORKER}\n"
        f"spark.worker.resource.gpu.discoveryScript {ROOT / 'conf' / 'gpus.sh'}\n",
        encoding="utf-8",
    )
    options = {
        "--port": "0",
        "--cores": str(CORES_PER_WORKER),
        "--memory": "4g",
        "--work-dir": str(cluster.folder / f"work-{number}"),
        "--properties-file": str(properties),
    }
    _start(
        cluster,
        f"worker-{number}",
        "org.apache.spark.deploy.worker.Worker",
        [*(word for option in options.items() for word in option), cluster.url],
        PATH=f"{cluster.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        FAKE_GPUS=" ".join(cluster.gpus[number * GPUS_PER_WORKER : (number + 1) * GPUS_PER_WORKER]),
    )


def _start(cluster: StandaloneCluster, name: str, main_class: str, arguments: list[str], **extra: str) -> None:
    environment = clean_environment(
        SPARK_CONF_DIR=str(cluster.folder / "conf"),  # not the environment's spark-env.sh
        SPARK_DAEMON_MEMORY="256m",  # a few executors' worth of state
        SPARK_DAEMON_JAVA_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1",  # quick to start, no threads for GC
        **{MARK: cluster.mark},
        **extra,
    )
    command = [str(SPARK_HOME / "bin" / "spark-class"), main_class, "--host", "127.0.0.1", "--webui-port", "0"]
    with (cluster.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            # The pipe ends with this process, even if it is killed: then the group ends too.
            ["bash", "-c", '"$@" & read -r _; kill -KILL 0', "bash", *command, *arguments],
            env=environment,
            cwd=cluster.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    cluster._processes.append(process)


def _wait(cluster: StandaloneCluster, name: str, pattern: str) -> str:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        found = re.search(pattern, cluster.log(name))
        if found:
            return found.group(1)
        time.sleep(0.1)
    raise TimeoutError(f"{name} did not start within {START_TIMEOUT_S} s:\n{cluster.log(name)[-3000:]}")


def _stop(cluster: StandaloneCluster) -> None:
    for process in reversed(cluster._processes):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
    # Python daemons have groups of their own and end when their executor's pipe closes.
    with suppress(TimeoutError):
        wait_until(lambda: not cluster.processes(), "the end of the cluster's processes", timeout_s=10)
    for pid in cluster.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _marked(mark: str) -> dict[int, str]:
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def _write_fake_nvidia_smi(file: Path) -> None:
    """Answers the two queries of conf/gpus.sh as a machine without MIG does."""
    file.parent.mkdir()
    file.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *mig.mode.current*) for gpu in $FAKE_GPUS; do echo '[N/A]'; done ;;\n"
        "  *query-gpu=index*) for gpu in $FAKE_GPUS; do echo $gpu; done ;;\n"
        "  *) exit 6 ;;\n"
        "esac\n",
        encoding="utf-8",
    )
    file.chmod(0o755)
