"""Reads a remote file forward in large blocks, the next one while the reader works on this one.

pyarrow asks the store once for each `read`, so a reader of small pieces would cost thousands of requests a file, and
wait for each. Knows no store; what the file raises becomes the error of a job where the store is to blame.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from spark_prox.sources.object_store import store_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from pyarrow import NativeFile

    from spark_prox.sources.hadoop_files import HadoopFile

__all__ = ["StoreFile"]

FIRST_BYTES = 1 << 20  # enough for a small file, and for a look at how a large one begins
BLOCK_BYTES = 8 << 20


class StoreFile(io.RawIOBase):
    """A stream of a file's bytes; put an `io.BufferedReader` around it. Closes the file.

    Args:
        uri: for messages.
        file: open for random access.
        offset: of the first byte to read.
    """

    def __init__(self, uri: str, file: NativeFile | HadoopFile, offset: int = 0) -> None:
        super().__init__()
        self._uri = uri
        self._file = file
        self._size: int = file.size()
        self._at = offset  # where the next block begins
        self._block = memoryview(b"")
        self._begun = False
        self._ahead: Future[memoryview] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Some bytes; 0 at the end.

        Raises:
            InputError: STORE_UNREADABLE.
            OSError: as pyarrow raises it.
        """
        if not self._block:
            self._block = self._next_block()
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._block))
        target[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        """End the read ahead, and close the file."""
        if not self.closed:
            with closing(self._file):
                if self._thread is not None:
                    self._thread.shutdown(wait=True, cancel_futures=True)
            super().close()

    def _next_block(self) -> memoryview:
        """The next block; from the second one on the one after it is asked for at once."""
        if self._ahead is not None:
            block = self._ahead.result()
        else:
            block = self._read(self._at, BLOCK_BYTES if self._begun else FIRST_BYTES)
        self._at += len(block)
        self._ahead = None
        if block and self._begun and self._at < self._size:
            self._thread = self._thread or ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-file")
            self._ahead = self._thread.submit(self._read, self._at, BLOCK_BYTES)
        self._begun = True
        return block

    def _read(self, offset: int, count: int) -> memoryview:
        count = min(count, self._size - offset)
        if count <= 0:
            return memoryview(b"")
        try:
            return memoryview(self._file.read_at(count, offset))
        except OSError as error:
            raise store_error(self._uri, error) or error from None
