"""What all tiers share: the interpreter of the executors, no network, the shared data where it is there."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tiny_models import write_tiny_llama

# Before pyspark is imported: unset, Spark would take the first python3 of the PATH.
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
# Every model and tokenizer in the tests is a local directory.
os.environ["HF_HUB_OFFLINE"] = "1"
# Two Python workers on two cores: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).parent.parent


# Pieces of work, in the order in which two processes take them: what takes longest first. What is not named comes last,
# file by file.
PIECES = {
    # Before the Spark tier, where one process runs both: its sessions start and stop.
    "cluster": ("tests/cluster/",),
    # They go on from one finished run.
    "finished": tuple(
        f"tests/spark/test_{name}.py"
        for name in (
            "pipeline",
            "guard_rails",
            "maintain",
            "corrupt_tables",
            "retry",
            "quarantine",
            "migrations",
            "export",
            "report",
            "notebook",
            "spark_connect",
        )
    ),
    **{
        name: (f"tests/spark/test_{name}.py",)
        for name in ("incremental", "real_input", "demo", "heuristics", "annotate", "train_distributor", "sources")
    },
    "spark": ("tests/spark/",),
    # They import torch and scikit-learn, and train.
    "training": ("tests/unit/training/",),
    "vllm": ("tests/unit/engines/test_vllm_engine.py",),
}


def piece_of(nodeid: str) -> str:
    """What one process runs: a piece, else a file."""
    return next((name for name, paths in PIECES.items() if nodeid.startswith(paths)), nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A piece of work to a process, in the order of `pytest_collection_modifyitems`."""
    from xdist.scheduler import LoadScopeScheduling

    class ByPiece(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return piece_of(nodeid)

    return ByPiece(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of `PIECES`; what is of one piece stays together."""
    order = {piece: place for place, piece in enumerate(PIECES)}
    items.sort(key=lambda item: order.get(piece_of(item.nodeid), len(order)))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches out fails. Loopback, which Spark's own processes talk over, stays open."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in _own_hosts():
            raise OSError(f"a test tried to connect to {host!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _own_hosts() -> set[str]:
    hosts = {"127.0.0.1", "::1", "localhost", "0.0.0.0"}
    name = socket.gethostname()
    hosts.add(name)
    with suppress(OSError):
        hosts.update(str(info[4][0]) for info in socket.getaddrinfo(name, None))
    return hosts


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in the released refiners' shape, in a directory that all processes see."""
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real web data beside the checkout; never committed."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there: real web data is not part of the repository")
    return folder
