"""Unpack files into a folder of the temporary directory that only this user can have written.

The folder's name is known beforehand, so that all workers of a machine share it, and so anybody can have made it first.
It is used only if this user owns it and nobody else may write it; each file in it is compared byte by byte, and what
differs is replaced. Knows no model.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["unpack"]

_LOG = logging.getLogger(__name__)
_DRAFT = ".draft-"
_DRAFT_S = 3600.0


def unpack(files: Mapping[str, bytes], name: str) -> Path:
    """Write files into a folder named after a name, this user and the files' content; gives the folder.

    Safe against concurrent workers. Where the folder cannot be trusted, one of this process's own takes its place.
    """
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{len(file)}:{file}:{len(files[file])}:".encode())
        digest.update(files[file])
    folder = Path(tempfile.gettempdir()) / f"spark_prox-{os.getuid()}-{name}-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_ours(folder):
            _LOG.warning("the folder %s is not this user's alone: the files are unpacked elsewhere", folder)
            folder = Path(tempfile.mkdtemp(prefix=f"spark_prox-{name}-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for entry in os.scandir(folder):
        if entry.name not in files and not _is_being_written(entry):
            _remove(entry)
    for file, content in files.items():
        if not _holds(folder / file, content):
            _write(folder / file, content)
    return folder


def _is_being_written(entry: os.DirEntry[str]) -> bool:
    """True if an entry may be the draft of a worker that runs now."""
    return entry.name.startswith(_DRAFT) and time.time() - entry.stat(follow_symlinks=False).st_mtime < _DRAFT_S


def _is_ours(folder: Path) -> bool:
    """True if a path is a folder, no link to one, that only this user may write."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return False
    return not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _holds(path: Path, content: bytes) -> bool:
    """True if a path is a regular file of this user with that content, which nobody else may write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_size != len(content):
            return False
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_nlink != 1:
            return False
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read() == content
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place at once; a worker that has the old one open keeps it."""
    draft = path.parent / f"{_DRAFT}{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    draft.replace(path)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        Path(entry.path).unlink(missing_ok=True)
