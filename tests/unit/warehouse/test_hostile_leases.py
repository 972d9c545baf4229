"""Lease files that no job can have written: they are looked at, believed in nothing, and block nobody."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse.lease import acquire
from spark_prox.warehouse.lease_files import LocalLeaseFiles
from spark_prox.warehouse.lease_holder import Holder, this_process

FAST = LeaseConfig(heartbeat_s=0.05, expire_s=1.5)


@pytest.fixture
def files(tmp_path: Path) -> LocalLeaseFiles:
    return LocalLeaseFiles(str(tmp_path / "_lease"))


def me() -> Holder:
    return this_process("my job", FAST)


def elsewhere() -> Holder:
    """A process on another machine."""
    return replace(me(), host="far", machine="another boot", job="far job")


HOSTILE = {
    "waits for years": {"heartbeat_s": 1e9, "expire_s": 1e12},
    "waits for ever": {"heartbeat_s": float("inf"), "expire_s": float("inf")},
    "not a number": {"beat": float("nan"), "heartbeat_s": float("nan")},
    "negative": {"heartbeat_s": -5.0},
    "a time that is none": {"since": 1e300},
    "a text for a number": {"heartbeat_s": "1"},
    "a path for a process": {"pid": "../../etc/passwd"},
    "another process": {"pid": -1},
    "more keys": {"extra": 1},
    "too much": {"job": "x" * 100_000},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_lease_file_that_no_job_can_have_written_says_nothing(
    files: LocalLeaseFiles, change: dict[str, object]
) -> None:
    Path(files.folder).mkdir(exist_ok=True)
    values = {**asdict(elsewhere()), **change}
    Path(files.folder, f"{7:012d}.json").write_text(json.dumps(values))
    slept: list[float] = []
    lease = acquire(files, me(), sleep=slept.append)
    assert lease.number == 8
    assert sum(slept) < 1
    lease.release()


@pytest.mark.parametrize("what", ["pipe", "link", "dangling", "folder", "nested", "huge", "highest"])
def test_a_lease_file_that_is_none_blocks_nobody(files: LocalLeaseFiles, what: str, tmp_path: Path) -> None:
    Path(files.folder).mkdir(exist_ok=True)
    path = Path(files.folder, f"{7:012d}.json")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to("/dev/zero")
    elif what == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "folder":
        path.mkdir()
    elif what == "nested":
        path.write_text("[" * 60_000)
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        Path(files.folder, "9" * 12 + ".json").touch()
    lease = acquire(files, me())
    assert lease.number == (10**12 if what == "highest" else 8)
    lease.check()
    lease.release()
    again = acquire(files, me())
    assert again.number == lease.number + 1
    again.release()


def test_other_peoples_files_in_the_leases_folder_stay(files: LocalLeaseFiles) -> None:
    Path(files.folder).mkdir(exist_ok=True)
    others = ["2024-report.json", "1.json", "0001.json.bak", "1234567890123456789.json"]
    for name in others:
        Path(files.folder, name).touch()
    acquire(files, me()).release()
    acquire(files, me()).release()
    assert {path.name for path in Path(files.folder).iterdir()} == {*others, f"{2:012d}.json"}


def test_who_holds_a_lease_is_shown_without_control_characters(files: LocalLeaseFiles) -> None:
    holder = replace(elsewhere(), job="\x1b[2Jjob", host="h\rost", beat=time.time())
    Path(files.folder).mkdir(exist_ok=True)
    Path(files.folder, f"{7:012d}.json").write_bytes(replace(holder, heartbeat_s=30, expire_s=90).as_bytes())
    with pytest.raises(TableError, match="WAREHOUSE_BUSY") as caught:
        acquire(files, me())
    assert "\x1b" not in str(caught.value)
    assert "\r" not in str(caught.value)


def test_a_lease_that_cannot_be_written_is_an_error_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TableError, match="LEASE_UNWRITABLE"):
        acquire(LocalLeaseFiles(str(tmp_path / "file")), me())
