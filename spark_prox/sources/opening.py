"""Opens a file by its path or address as a stream of its bytes as stored.

Local paths are opened directly, http:// and https:// through `http_file`, all others as the session's Hadoop settings
say: s3a://, gs:// and abfs:// by pyarrow, hdfs:// and others by Hadoop's own client. Knows nothing of what is in it.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from spark_prox.sources.http_file import HttpFile
from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.store_file import StoreFile

__all__ = ["is_local", "is_web", "local_path", "open_file", "open_table"]


def is_web(path: str) -> bool:
    """Whether a path is an address of the web."""
    return path.lower().startswith(("http://", "https://"))


def is_local(path: str) -> bool:
    """Whether a path is of this machine's own file system."""
    return "://" not in path or path.startswith("file:")


def local_path(path: str) -> Path:
    """A local path without its scheme."""
    return Path("/" + path[5:].lstrip("/") if path.startswith("file:") else path)


def open_file(path: str, opened: ExitStack, stores: ObjectStores, offset: int = 0) -> BinaryIO:
    """A stream to read forward from `offset`, with `seek`; `opened` closes it.

    Args:
        stores: how object stores are reached.

    Raises:
        InputError: the store refuses it and every other file.
        OSError, ValueError: it cannot be opened.
    """
    if is_local(path):
        stream = opened.enter_context(local_path(path).open("rb"))
        stream.seek(offset)
        return stream
    remote: HttpFile | _StoreStream
    if is_web(path):
        remote = HttpFile(path)
        remote.seek(offset)
    else:
        remote = _StoreStream(path, stores, offset)
    opened.callback(remote.close)
    return cast(BinaryIO, remote)


def open_table(path: str, opened: ExitStack, stores: ObjectStores) -> BinaryIO:
    """A file for a reader that jumps in it; arguments and errors as above."""
    if is_local(path):
        return opened.enter_context(local_path(path).open("rb"))
    return cast(BinaryIO, opened.enter_context(stores.open(path)))


class _StoreStream:
    """A file of a store, opened again where it is read from another offset."""

    def __init__(self, uri: str, stores: ObjectStores, offset: int) -> None:
        self._uri, self._stores = uri, stores
        self._at = offset
        self._stream = self._open()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; b"" at the end."""
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def seek(self, offset: int, /) -> int:
        """Go to an offset from the beginning."""
        if offset != self._at:
            self._stream.close()
            self._at = offset
            self._stream = self._open()
        return offset

    def close(self) -> None:
        self._stream.close()

    def _open(self) -> io.BufferedReader:
        return io.BufferedReader(StoreFile(self._uri, self._stores.open(self._uri), self._at))
