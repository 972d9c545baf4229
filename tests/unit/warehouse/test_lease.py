"""The lease on a local folder, with real processes where it matters that they are some."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse.lease import Lease, acquire, hold
from spark_prox.warehouse.lease_files import LocalLeaseFiles
from spark_prox.warehouse.lease_holder import Holder, this_process

# A loaded machine may keep a thread from running for a second.
FAST = LeaseConfig(heartbeat_s=0.05, expire_s=1.5)

HOLDER = """
import sys, time
from spark_prox.warehouse.lease import acquire
from spark_prox.warehouse.lease_files import LocalLeaseFiles
from spark_prox.warehouse.lease_holder import LeaseConfig, this_process
lease = acquire(LocalLeaseFiles(sys.argv[1]), this_process("other job", LeaseConfig()))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def files(tmp_path: Path) -> LocalLeaseFiles:
    return LocalLeaseFiles(str(tmp_path / "_lease"))


@pytest.fixture
def other(files: LocalLeaseFiles) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, files.folder],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def me(settings: LeaseConfig = FAST) -> Holder:
    return this_process("my job", settings)


def elsewhere(settings: LeaseConfig = FAST) -> Holder:
    """A process on another machine."""
    return dataclasses.replace(me(settings), host="far", machine="another boot", job="far job")


def test_the_second_job_is_told_who_holds_the_lease(files: LocalLeaseFiles, other: subprocess.Popen[str]) -> None:
    with pytest.raises(TableError) as caught:
        acquire(files, me())
    assert caught.value.code == "WAREHOUSE_BUSY"
    for part in ("other job", f"process {other.pid}", "since 20", "lease.expire_s"):
        assert part in str(caught.value)


@pytest.mark.parametrize("reaped", [True, False])
def test_a_holder_that_was_killed_on_this_machine_is_replaced_at_once(
    files: LocalLeaseFiles, other: subprocess.Popen[str], reaped: bool
) -> None:
    os.kill(other.pid, signal.SIGKILL)
    if reaped:
        other.wait()
    else:
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    waited: list[float] = []
    lease = acquire(files, me(), sleep=waited.append)
    assert waited == [files.settle_s]  # nobody was watched for a heartbeat
    lease.check()
    lease.release()


def test_a_stopped_holder_on_this_machine_is_alive(files: LocalLeaseFiles, other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGSTOP)
    with pytest.raises(TableError, match="WAREHOUSE_BUSY"):
        acquire(files, me())


def test_a_process_number_that_is_used_again_is_not_the_holder(
    files: LocalLeaseFiles, other: subprocess.Popen[str]
) -> None:
    holder = dataclasses.replace(me(LeaseConfig()), pid=other.pid, started="1")
    assert files.create("000000000002.json", holder.as_bytes())
    acquire(files, me()).release()


def test_a_released_lease_is_free_at_once(files: LocalLeaseFiles) -> None:
    acquire(files, elsewhere(LeaseConfig())).release()
    lease = acquire(files, me())
    assert lease.number == 2
    assert len(files.names()) == 1
    lease.release()


def test_a_holder_elsewhere_is_respected_while_its_heart_beats(files: LocalLeaseFiles) -> None:
    lease = acquire(files, elsewhere())
    time.sleep(2 * FAST.expire_s)
    with pytest.raises(TableError, match=r"WAREHOUSE_BUSY.*far job on far"):
        acquire(files, me())
    lease.release()


def test_a_holder_elsewhere_that_stopped_renewing_is_replaced_and_notices(files: LocalLeaseFiles) -> None:
    lost = threading.Event()
    paused = acquire(files, elsewhere(), lost.set)
    paused._writing.acquire()  # what a paused machine looks like: its heart does not beat
    time.sleep(1.5 * FAST.expire_s)
    winner = acquire(files, me())
    paused._writing.release()
    assert lost.wait(5)
    with pytest.raises(TableError, match=r"LEASE_LOST.*my job"):
        paused.check()
    paused.beat()
    paused.release()
    winner.check()
    winner.release()


def test_clocks_that_differ_do_not_make_a_living_holder_dead(
    files: LocalLeaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = acquire(files, elsewhere())
    now = time.time
    monkeypatch.setattr(
        "spark_prox.warehouse.lease.time.time", lambda: now() - 3600 * (threading.current_thread().name == "lease")
    )
    time.sleep(2 * FAST.heartbeat_s)
    with pytest.raises(TableError, match="WAREHOUSE_BUSY"):
        acquire(files, me())
    lease.release()


def test_of_many_contenders_one_wins(files: LocalLeaseFiles) -> None:
    start = threading.Barrier(16)
    won: list[Lease] = []
    refused: list[str] = []

    def contend(number: int) -> None:
        holder = dataclasses.replace(me(LeaseConfig()), pid=number, started="1", machine="", token=f"{number}")
        start.wait()
        try:
            won.append(acquire(files, holder))
        except TableError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert refused == ["WAREHOUSE_BUSY"] * 15
    won[0].release()


def test_a_file_that_nobody_finished_writing_does_not_block(files: LocalLeaseFiles) -> None:
    files.create("000000000001.json", b"")
    lease = acquire(files, me())
    assert lease.number == 2
    lease.release()


def test_an_object_store_where_the_last_writer_wins_is_noticed(files: LocalLeaseFiles) -> None:
    def overwrite(seconds: float) -> None:
        files.replace("000000000001.json", elsewhere(LeaseConfig()).as_bytes())

    with pytest.raises(TableError, match=r"WAREHOUSE_BUSY.*far job"):
        acquire(files, me(), sleep=overwrite)


def test_one_process_holds_a_folder_once_however_many_runs_it_makes(files: LocalLeaseFiles) -> None:
    first, taken = hold(files, FAST, "a")
    second, taken_again = hold(files, FAST, "b")
    assert first is second
    assert (taken, taken_again) == (True, False)
    first.release()
    third, taken = hold(files, FAST, "c")
    assert taken
    third.release()


def test_deleted_lease_files_are_a_lost_lease(files: LocalLeaseFiles) -> None:
    lease = acquire(files, me(LeaseConfig()))
    for name in files.names():
        files.delete(name)
    with pytest.raises(TableError, match=r"LEASE_LOST.*deleted"):
        lease.check()
