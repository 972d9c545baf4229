"""What all tiers share: the interpreter of the executors, no network, the shared data where it is there."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

# Before pyspark is imported: unset, Spark would take the first python3 of the PATH.
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
# Every model and tokenizer in the tests is a local directory.
os.environ["HF_HUB_OFFLINE"] = "1"
# Two Python workers on two cores: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A file to a process, the cluster tier to one: it needs one without a Spark session, so it comes first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "tests/cluster" if nodeid.startswith("tests/cluster/") else nodeid.partition("::")[0]

    return ByFile(config, log)


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
def shared_data() -> Path:
    """Real web data beside the checkout; never committed."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there: real web data is not part of the repository")
    return folder
