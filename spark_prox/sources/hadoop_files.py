"""Opens files of file systems that only Hadoop's own clients know, HDFS above all; see `hadoop_jvm`."""

from __future__ import annotations

import io
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.sources.hadoop_jvm import HadoopSettings, hadoop, java_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HadoopFile"]

_SMALL_BYTES = 64 << 10


class HadoopFile(io.RawIOBase):
    """A file for random access.

    Args:
        uri: with a scheme that Hadoop knows.
        settings: of Hadoop, beside those that its own files on this machine give.

    Raises:
        FileNotFoundError, OSError: the file cannot be opened.
        InputError: STORE_UNREADABLE: the file system cannot be reached.
    """

    def __init__(self, uri: str, settings: HadoopSettings) -> None:
        super().__init__()
        self._uri = uri
        self._lock = threading.Lock()
        self._at = 0
        self._stream: Any = None
        self._block: tempfile._TemporaryFileWrapper[bytes] | None = None
        with java_errors(uri):
            self._jvm, configuration = hadoop(settings)
            path = self._jvm.org.apache.hadoop.fs.Path(uri)
            files = path.getFileSystem(configuration)
            self._size = int(files.getFileStatus(path).getLen())
            self._stream = files.open(path)

    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def read_at(self, count: int, offset: int) -> bytes:
        """The bytes from `offset`, fewer at the end."""
        with self._lock, java_errors(self._uri):
            self._stream.seek(min(offset, self._size))
            if count <= _SMALL_BYTES:
                return bytes(self._stream.readNBytes(count))
            # py4j writes bytes as text, at a few megabytes a second: large blocks go through a file.
            if self._block is None:
                self._block = tempfile.NamedTemporaryFile(prefix="hadoop-block-")  # noqa: SIM115 - `close` removes it
            out = self._jvm.java.io.FileOutputStream(self._block.name)
            try:
                self._jvm.org.apache.commons.io.IOUtils.copyLarge(self._stream, out, 0, count)
            finally:
                out.close()
            return Path(self._block.name).read_bytes()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Bytes from where the file stands."""
        target = memoryview(buffer).cast("B")
        data = self.read_at(len(target), self._at)
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        """The place that is read next."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        if not self.closed and self._stream is not None:
            with suppress(Exception):  # it was read only
                self._stream.close()
            if self._block is not None:
                self._block.close()
        super().close()
