"""The place of lease files: a local folder, or any file system that Hadoop knows; `lease_store` has those of S3.

`create` must give a name to one of several contenders only. A local folder does that itself; HDFS does through Hadoop;
another store may let the last one win, which `settle_s` leaves time to see. Knows nothing of what is in the files.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["LEASE_NAME", "MAX_LEASE_BYTES", "HadoopLeaseFiles", "LeaseFiles", "LocalLeaseFiles"]

LEASE_NAME = re.compile(r"[0-9]{12,15}\.json")
MAX_LEASE_BYTES = 1 << 16


class LeaseFiles(Protocol):
    """A folder of small files, named `<number>.json`."""

    @property
    def folder(self) -> str:
        """The place, for people and as an identity."""

    @property
    def settle_s(self) -> float:
        """How long after `create` another contender's file could still replace ours."""

    def names(self) -> list[str]:
        """The lease files that are there; none when the folder is not."""

    def read(self, name: str) -> bytes:
        """The content of a file; raises OSError or a py4j error when there is none."""

    def create(self, name: str, data: bytes) -> bool:
        """Create a file, and the folder; False when the file is there already."""

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew."""

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""


@dataclass(frozen=True)
class LocalLeaseFiles:
    """A folder of this machine, or one that is mounted on it."""

    folder: str
    settle_s: float = 0.0

    def names(self) -> list[str]:
        """The lease files."""
        try:
            return [name for name in os.listdir(self.folder) if LEASE_NAME.fullmatch(name)]  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str) -> bytes:
        """The content of a file; of a regular one alone, because a pipe would block."""
        descriptor = os.open(Path(self.folder, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("no regular file")
            return os.read(descriptor, MAX_LEASE_BYTES)
        finally:
            os.close(descriptor)

    def create(self, name: str, data: bytes) -> bool:
        """Create a file with its content at once, as a link to a finished one; plainly where there are no links."""
        draft = self._draft(data)
        path = Path(self.folder, name)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:
            try:
                with path.open("xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
        finally:
            draft.unlink()
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew; a reader sees the old content or the new."""
        self._draft(data).replace(Path(self.folder, name))

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        with suppress(OSError):  # somebody's folder of that name is in nobody's way
            Path(self.folder, name).unlink(missing_ok=True)

    def _draft(self, data: bytes) -> Path:
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        draft = Path(self.folder, f".{secrets.token_hex(8)}")
        draft.write_bytes(data)
        return draft


@dataclass(frozen=True)
class HadoopLeaseFiles:
    """A folder of a Hadoop file system.

    Attributes:
        path: `org.apache.hadoop.fs.Path` of the folder.
        files: its file system.
        jvm: py4j's view of the Java side.
    """

    folder: str
    path: Any
    files: Any
    jvm: Any

    @property
    def settle_s(self) -> float:
        """HDFS creates a name once; object stores may not."""
        return 0.0 if self.files.getScheme() in ("hdfs", "viewfs", "file") else 3.0

    def names(self) -> list[str]:
        """The lease files."""
        if not self.files.exists(self.path):
            return []
        found = [str(status.getPath().getName()) for status in self.files.listStatus(self.path)]
        return [name for name in found if LEASE_NAME.fullmatch(name)]

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if self.files.getFileStatus(self._path(name)).getLen() > MAX_LEASE_BYTES:
            raise OSError("too large")
        stream = self.files.open(self._path(name))
        try:
            return bytes(self.jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def create(self, name: str, data: bytes) -> bool:
        """Create a file unless it is there."""
        with suppress(Exception):  # py4j wraps FileAlreadyExistsException and whatever else; `exists` tells them apart
            self._write(name, data, overwrite=False)
            return True
        if self.files.exists(self._path(name)):
            return False
        self._write(name, data, overwrite=False)  # the error was another one: raise it
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew; a reader may find it empty for a moment."""
        self._write(name, data, overwrite=True)

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        self.files.delete(self._path(name), False)

    def _path(self, name: str) -> Any:
        return self.jvm.org.apache.hadoop.fs.Path(self.path, name)

    def _write(self, name: str, data: bytes, *, overwrite: bool) -> None:
        stream = self.files.create(self._path(name), overwrite)
        stream.write(data)
        stream.close()
