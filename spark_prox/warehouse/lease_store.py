"""Lease files in an S3 bucket, through Hadoop's S3A: created under a condition, with as few requests as it takes.

`create` is one PUT with `If-None-Match: *`, which the store gives to one of several contenders only. Not every store
heeds the condition, so the winner asks for the same once more: where that works too, the last writer wins and
`settle_s` leaves time to see it. A look is a LIST and a GET, a renewal a PUT.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from spark_prox.warehouse.java_errors import java_name
from spark_prox.warehouse.lease_files import LEASE_NAME, MAX_LEASE_BYTES

__all__ = ["StoreLeaseFiles", "creates_conditionally"]

_CONDITION = "fs.option.create.conditional.overwrite"
_QUICK = (
    "fs.s3a.create.performance"  # without a look at what is there: files are overwritten, and no folder is in the way
)
_SETTLE_S = 3.0
_TRIES = 5


def creates_conditionally(files: Any, path: Any) -> bool:
    """Check if a Hadoop file system can create a file on the condition that there is none; no request."""
    return bool(files.hasPathCapability(path, _CONDITION))


class StoreLeaseFiles:
    """A folder of a bucket.

    Args:
        folder: its URI.
        path: `org.apache.hadoop.fs.Path` of it.
        files: its file system.
        jvm: py4j's view of the Java side.

    Attributes:
        settle_s: see `LeaseFiles`; after `create` 0 where the store heeded the condition.
    """

    def __init__(self, folder: str, path: Any, files: Any, jvm: Any) -> None:
        self.folder = folder
        self.settle_s = _SETTLE_S
        self._path = path
        self._files = files
        self._jvm = jvm
        self._listed: dict[str, Any] = {}

    def names(self) -> list[str]:
        """The lease files."""
        try:
            found = {str(status.getPath().getName()): status for status in self._files.listStatus(self._path)}
        except Exception as error:
            if java_name(error) != "FileNotFoundException":
                raise
            found = {}
        self._listed = {name: status for name, status in found.items() if LEASE_NAME.fullmatch(name)}
        return list(self._listed)

    def read(self, name: str) -> bytes:
        """The content of a file, if it is what the last listing saw: a change since then is an error."""
        opening = self._files.openFile(self._file(name))
        if status := self._listed.get(name):
            if status.getLen() > MAX_LEASE_BYTES:
                raise OSError("too large")
            opening = opening.withFileStatus(status)  # spares a HEAD
        stream = opening.build().get()
        try:
            return bytes(stream.readNBytes(MAX_LEASE_BYTES))
        finally:
            stream.close()

    def create(self, name: str, data: bytes) -> bool:
        """Create a file unless it is there."""
        if not self._put_if_absent(name, data):
            return self._says(name, data)  # ours, where the answer to a PUT was lost and it was sent again
        self.settle_s = _SETTLE_S if self._put_if_absent(name, data) else 0.0
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew; a reader sees the old content or the new."""
        self._write(self._files.createFile(self._file(name)).overwrite(True).opt(_QUICK, True), data)

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        self._files.delete(self._file(name), False)

    def _put_if_absent(self, name: str, data: bytes) -> bool:
        """Try to write the file, and say if that worked; the store may have written it over another one."""
        for attempt in range(_TRIES):
            try:
                self._write(self._files.createFile(self._file(name)).overwrite(True).must(_CONDITION, True), data)
                return True
            except Exception as error:
                said = java_name(error)
                if said in ("RemoteFileChangedException", "FileAlreadyExistsException"):
                    return False
                if said != "AWSStatus409Exception" or attempt == _TRIES - 1:
                    raise
                time.sleep(0.2 * (attempt + 1))  # another one is writing: S3 asks to come again
        return False

    def _says(self, name: str, data: bytes) -> bool:
        with suppress(Exception):  # deleted or replaced since: somebody else's
            self._listed.pop(name, None)
            return self.read(name) == data
        return False

    def _write(self, creating: Any, data: bytes) -> None:
        stream = creating.build()
        stream.write(data)
        stream.close()

    def _file(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self._path, name)
