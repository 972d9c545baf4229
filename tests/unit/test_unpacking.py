"""The embedded model is unpacked into a folder that others can find: what they put there is not believed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from spark_prox import unpacking
from spark_prox.unpacking import unpack

FILES = {"model.bin": b"weights", "config.json": b"{}"}


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def assert_holds(folder: Path) -> None:
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == FILES
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(file.is_symlink() for file in folder.iterdir())


def test_all_workers_share_a_folder_that_is_this_users_alone() -> None:
    first = unpack(FILES, "m")
    written = (first / "model.bin").stat().st_mtime_ns
    assert unpack(FILES, "m") == first
    assert (first / "model.bin").stat().st_mtime_ns == written
    assert_holds(first)
    assert unpack({**FILES, "model.bin": b"other"}, "m") != first


def test_what_differs_is_replaced_and_what_does_not_belong_there_goes(tmp_path: Path) -> None:
    folder = unpack(FILES, "m")
    (folder / "model.bin").write_bytes(b"weightz")
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    (folder / "modeling.py").write_text("evil")
    (folder / "more").mkdir()
    (folder / "more" / "x").touch()
    assert_holds(unpack(FILES, "m"))


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder = unpack(FILES, "m")
    outside = tmp_path / "outside"
    outside.write_bytes(b"weights")
    (folder / "model.bin").unlink()
    (folder / "model.bin").symlink_to(outside)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    (folder / "elsewhere").symlink_to(tmp_path)
    assert_holds(unpack(FILES, "m"))
    assert outside.read_bytes() == b"weights"


def test_a_file_that_others_may_write_is_written_anew(tmp_path: Path) -> None:
    folder = unpack(FILES, "m")
    (folder / "model.bin").chmod(0o666)
    os.link(folder / "config.json", tmp_path / "second name")
    unpack(FILES, "m")
    assert (folder / "model.bin").stat().st_mode & 0o777 == 0o600
    assert (folder / "config.json").stat().st_nlink == 1


@pytest.mark.parametrize("how", ["writable", "link", "file", "owner"])
def test_a_folder_that_is_not_this_users_alone_is_not_used(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpack(FILES, "m")
    if how == "writable":
        folder.chmod(0o777)
    elif how == "owner":
        real = os.getuid()
        name = folder.name.replace(str(real), str(real + 1))
        folder.rename(folder.with_name(name))
        monkeypatch.setattr(unpacking.os, "getuid", lambda: real + 1)
        folder = folder.with_name(name)
        for file in FILES:  # this process cannot make files of another user: only the folder is looked at
            monkeypatch.setattr(unpacking, "_holds", lambda *_: False)
            assert (folder / file).exists()
    else:
        folder.rename(tmp_path / "moved")
        if how == "link":
            folder.symlink_to(tmp_path / "moved")
        else:
            folder.touch()
    used = unpack(FILES, "m")
    assert used != folder
    assert_holds(used)
    (tmp_path / "moved" / "keep").touch() if how == "link" else None
    assert unpack(FILES, "m") not in (used, folder)


def test_a_worker_that_writes_just_now_is_left_alone() -> None:
    folder = unpack(FILES, "m")
    draft = folder / ".draft-1"
    draft.touch()
    unpack(FILES, "m")
    assert draft.exists()
    os.utime(draft, (0, 0))
    assert_holds(unpack(FILES, "m"))
