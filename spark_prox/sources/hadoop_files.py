"""Opens files of file systems that only Hadoop's own clients know, HDFS above all, through a small JVM of this process.

pyarrow needs a native libhdfs and a class path that executors rarely have. What they have is a JVM with Spark's jars:
the process that started this one. py4j, which Spark brings, starts a second JVM on its class path; that one ends with
this process. Kerberos tickets and a container's tokens are found as by any Hadoop client.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HadoopFile"]

Settings = tuple[tuple[str, str], ...]
_SMALL_BYTES = 64 << 10
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_UNREACHABLE = ("ConnectException", "UnknownHostException", "SocketTimeoutException", "StandbyException")


class HadoopFile(io.RawIOBase):
    """A file for random access.

    Args:
        uri: with a scheme that Hadoop knows.
        settings: of Hadoop, beside those that its own files on this machine give.

    Raises:
        FileNotFoundError, OSError: the file cannot be opened.
        InputError: STORE_UNREADABLE: the file system cannot be reached.
    """

    def __init__(self, uri: str, settings: Settings) -> None:
        super().__init__()
        self._uri = uri
        self._lock = threading.Lock()
        self._at = 0
        self._stream: Any = None
        self._block: tempfile._TemporaryFileWrapper[bytes] | None = None
        with _java_errors(uri):
            self._jvm, configuration = _hadoop(settings)
            path = self._jvm.org.apache.hadoop.fs.Path(uri)
            files = path.getFileSystem(configuration)
            self._size = int(files.getFileStatus(path).getLen())
            self._stream = files.open(path)

    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def read_at(self, count: int, offset: int) -> bytes:
        """The bytes from `offset`, fewer at the end."""
        with self._lock, _java_errors(self._uri):
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


@contextmanager
def _java_errors(uri: str) -> Iterator[None]:
    """Errors of Java as Python's; those of the file system itself, not of this file, as the error of a job."""
    from py4j.protocol import Py4JError, Py4JJavaError

    try:
        yield
    except Py4JJavaError as error:
        name = str(error.java_exception.getClass().getSimpleName())
        if name in _UNREACHABLE:
            raise _unreadable(uri, name) from None
        if name == "FileNotFoundException":
            raise FileNotFoundError(uri) from None
        raise (PermissionError if name == "AccessControlException" else OSError)(f"{name} on {uri}") from None
    except Py4JError as error:  # its JVM is gone
        _hadoop.cache_clear()
        raise _unreadable(uri, type(error).__name__) from None


def _unreadable(uri: str, name: str) -> InputError:
    return InputError(
        "STORE_UNREADABLE",
        f"{uri!r} cannot be read by an executor ({name}).",
        "Check that the file system answers from every machine; run the same command again when it does.",
    )


@lru_cache(maxsize=4)
def _hadoop(settings: Settings) -> tuple[Any, Any]:
    """The JVM of this process and a configuration in it."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    java, class_path = _parent_jvm()
    if user := os.environ.get("SPARK_USER"):
        os.environ.setdefault("HADOOP_USER_NAME", user)  # who the executor reads as, where nobody has to prove it
    port, token = launch_gateway(
        jarpath=_py4j_jar(class_path),
        classpath=class_path,
        javaopts=list(_JVM),
        java_path=java,
        die_on_exit=True,
        enable_auth=True,
    )
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True))
    configuration = gateway.jvm.org.apache.hadoop.conf.Configuration()
    for key, value in settings:
        configuration.set(key, value)
    return gateway.jvm, configuration


def _py4j_jar(class_path: str) -> str:
    """The Java half of py4j, among Spark's jars: in a zip, as executors have it, py4j does not find it."""
    for entry in class_path.split(os.pathsep):
        place = Path(entry)
        for jar in place.parent.glob("py4j-*.jar") if place.name == "*" else [place]:
            if jar.name.startswith("py4j-") and jar.is_file():
                return str(jar)
    return ""


def _parent_jvm() -> tuple[str, str]:
    """Java and the class path of the executor that this process belongs to, else of the Spark that is installed."""
    pid = os.getppid()
    for _ in range(4):  # the worker's parent is the daemon, and its parent the executor
        with suppress(OSError, ValueError, IndexError):
            words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            if words[0].rpartition("/")[2] == "java":
                given = next((words[at + 1] for at, word in enumerate(words) if word in ("-cp", "-classpath")), "")
                return words[0], given or os.environ.get("CLASSPATH", "")
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    spec = find_spec("pyspark")
    jars = Path(spec.origin).parent / "jars" if spec is not None and spec.origin else Path()
    return "", f"{jars}/*"
