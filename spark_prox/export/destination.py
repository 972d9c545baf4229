"""The folder that an export writes: local, on what `pyarrow.fs` reaches (s3, gs, abfs), or through Hadoop's clients.

A file is written under another name and gets its own once it is whole, so that a reader never meets a part of one. Its
bytes are counted and hashed on the way. Used by the driver and by executors; knows no format.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

from spark_prox.errors import ConfigError, ProxError, TableError
from spark_prox.sources.object_store import ObjectStores, read_by_hadoop

__all__ = ["WORK_FOLDER", "Destination", "PendingFiles", "WrittenFile"]

WORK_FOLDER = "_export"
"""What an unfinished export keeps beside its shards; gone when it is done."""
_TEMPORARY = f"{WORK_FOLDER}/tmp"
_BUFFER_BYTES = 1 << 20
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_HADOOP_S3 = re.compile(r"^s3[an]://")
_OF_S3 = re.compile(r"s3[an]?://")


class WrittenFile(NamedTuple):
    """A file below the destination."""

    path: str
    bytes: int
    sha256: str


class _HashedOutput(io.RawIOBase):
    """A stream that counts and hashes what goes through it."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0
        self.is_dropped = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        block = memoryview(data).cast("B")
        if self.is_dropped:  # a Parquet writer ends its file when it is collected, long after the file is gone
            return len(block)
        self._stream.write(block)
        self._digest.update(block)
        self.size += len(block)
        return len(block)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing: the file system's stream flushes when it is closed."""

    def close_file(self) -> str:
        """Close the file; gives its hash."""
        self._stream.close()
        return self._digest.hexdigest()


class PendingFiles:
    """Files that are being written together; see `Destination.pending`."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._open: list[tuple[str, str, _HashedOutput]] = []
        self._spools: list[IO[bytes]] = []
        self.written: tuple[WrittenFile, ...] = ()

    def open(self, path: str) -> io.RawIOBase:
        """A stream for the file that will be at `path`."""
        temporary = f"{_TEMPORARY}/{uuid.uuid4().hex}-{path.rpartition('/')[2]}"
        stream = self._destination.output(temporary)
        self._open.append((path, temporary, _HashedOutput(stream)))
        return self._open[-1][2]

    def spool(self) -> IO[bytes]:
        """A file of this machine that is gone at the end."""
        self._spools.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the others
        return self._spools[-1]

    def close_spools(self) -> None:
        """Close the files of `spool`."""
        for spool in self._spools:
            spool.close()

    def commit(self) -> None:
        """Close all files, and give each its name."""
        done = [WrittenFile(path, out.size, out.close_file()) for path, _, out in self._open]
        for path, temporary, _ in self._open:
            self._destination.move(temporary, path)
        self.written = tuple(done)

    def discard(self) -> None:
        """Delete what was written."""
        for _, temporary, out in self._open:
            with suppress(Exception):  # the error that led here is the one to report
                out.close_file()
            out.is_dropped = True
            with suppress(Exception):
                self._destination.delete(temporary)


class Destination:
    """A folder.

    Args:
        uri: a path or URI; s3a:// and s3n:// mean s3://.
        stores: how Spark reaches object stores: the files go the way that its tables go. Options in the URI
            (`s3://bucket/path?endpoint_override=HOST`) are pyarrow's own and count instead.

    Raises:
        ConfigError: EXPORT_BAD_DESTINATION: no file system for it.
        InputError: STORE_REQUESTER_PAYS.
    """

    def __init__(self, uri: str, stores: ObjectStores | None = None) -> None:
        self.uri = uri
        self._stores = stores or ObjectStores()

    def __reduce__(self) -> tuple[type[Destination], tuple[str, ObjectStores]]:
        return Destination, (self.uri, self._stores)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem, LocalFileSystem

        local = self.uri.removeprefix("file:")
        try:
            if not _URI.match(local):
                return LocalFileSystem(), str(Path(local).expanduser().absolute())
            if (_OF_S3.match(local) and "?" not in local) or read_by_hadoop(local):
                return self._stores.resolve(local)
            system, path = FileSystem.from_uri(_HADOOP_S3.sub("s3://", local))
            return system, path.rstrip("/")
        except ProxError:
            raise
        except Exception as error:  # noqa: BLE001 - pyarrow raises several kinds here
            raise ConfigError(
                "EXPORT_BAD_DESTINATION",
                f"The destination {self.uri[:200]!r} has no file system that pyarrow knows ({type(error).__name__}).",
                "Use a directory that driver and executors share, or s3a://, gs://, abfs://, hdfs://.",
            ) from None

    @property
    def local_path(self) -> Path | None:
        """The folder on this machine; None where it is elsewhere."""
        system, path = self._place
        return Path(path) if system.type_name == "local" else None

    @contextmanager
    def pending(self) -> Iterator[PendingFiles]:
        """Files that all get their names when the block ends well, and vanish when it does not.

        Raises:
            TableError: DISK_FULL, EXPORT_UNWRITABLE.
        """
        files = PendingFiles(self)
        try:
            yield files
            files.commit()
        except BaseException as error:
            files.discard()
            if isinstance(error, OSError):
                raise self._unwritable(error) from None
            raise
        finally:
            files.close_spools()

    def output(self, path: str) -> Any:
        """A stream for a new file; its folder is made."""
        system, root = self._place
        folder = f"{root}/{path}".rpartition("/")[0]
        system.create_dir(folder, recursive=True)
        return system.open_output_stream(f"{root}/{path}", compression=None, buffer_size=_BUFFER_BYTES)

    def move(self, source: str, target: str) -> None:
        """Give a file another name, in place of one that has it."""
        system, root = self._place
        system.create_dir(f"{root}/{target}".rpartition("/")[0], recursive=True)
        system.move(f"{root}/{source}", f"{root}/{target}")

    def delete(self, path: str) -> None:
        """Delete a file, if it is there."""
        system, root = self._place
        with suppress(FileNotFoundError):
            system.delete_file(f"{root}/{path}")

    def delete_folder(self, path: str) -> None:
        """Delete a folder with everything in it, if it is there."""
        system, root = self._place
        with suppress(FileNotFoundError):
            system.delete_dir(f"{root}/{path}")

    def delete_temporary(self) -> None:
        """Delete what killed tasks left."""
        self.delete_folder(_TEMPORARY)

    def names(self, path: str = "") -> list[str]:
        """Names of files and folders in a folder, sorted; none where there is no folder."""
        from pyarrow.fs import FileSelector

        system, root = self._place
        found = system.get_file_info(FileSelector(f"{root}/{path}".rstrip("/"), allow_not_found=True))
        return sorted(info.base_name for info in found)

    def sizes(self, paths: list[str]) -> dict[str, int]:
        """Bytes of those files that are there."""
        from pyarrow.fs import FileType

        system, root = self._place
        found = system.get_file_info([f"{root}/{path}" for path in paths])
        return {path: info.size for path, info in zip(paths, found, strict=True) if info.type == FileType.File}

    def read_json(self, path: str) -> object:
        """A JSON file; None where there is none."""
        if not self.sizes([path]):
            return None
        system, root = self._place
        with system.open_input_file(f"{root}/{path}") as stream:
            data = stream.read()
        try:
            return json.loads(data)
        except ValueError:
            raise TableError(
                "EXPORT_DAMAGED", f"{path!r} in {self.uri[:200]!r} is no JSON.", "Export into another folder."
            ) from None

    def write_json(self, path: str, value: object) -> WrittenFile:
        """Write a JSON file."""
        return self.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def write_text(self, path: str, text: str) -> WrittenFile:
        """Write a text file in UTF-8."""
        with self.pending() as files:
            files.open(path).write(text.encode("utf-8", "replace"))
        return files.written[0]

    def check_writable(self) -> None:
        """Write a file and delete it.

        Raises:
            TableError: DISK_FULL, EXPORT_UNWRITABLE.
        """
        with self.pending() as files:
            files.open(f"{WORK_FOLDER}/probe").write(b"spark_prox looks whether it can write here\n")
        self.delete(f"{WORK_FOLDER}/probe")

    def _unwritable(self, error: OSError) -> ProxError:
        text = str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in text:
            return TableError(
                "DISK_FULL",
                f"No space is left where the export goes, {self.uri[:200]!r}.",
                "Make room and run the same command again: finished shards stay, and the export goes on.",
            )
        reason = text.partition("\n")[0].partition("'")[0].strip(" .:")
        return TableError(
            "EXPORT_UNWRITABLE",
            f"The destination {self.uri[:200]!r} cannot be written ({type(error).__name__}: {reason[:120]}).",
            "Check that it is a directory, its permissions, and the executors' access to it.",
        )
