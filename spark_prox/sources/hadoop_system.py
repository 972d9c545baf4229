"""A file system of Hadoop's clients as one of `pyarrow.fs`, to write into: HDFS without libhdfs.

A new file is written to this machine first, and copied when it is closed: py4j passes a few megabytes a second.
pyarrow is imported inside the function, as everywhere.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.sources.hadoop_files import HadoopFile
from spark_prox.sources.hadoop_jvm import HadoopSettings, hadoop, java_errors

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ["hadoop_system"]


class _NewFile(io.RawIOBase):
    """A file that is whole on the file system once it is closed."""

    def __init__(self, files: _HadoopFiles, path: str) -> None:
        super().__init__()
        self._files, self._path = files, path
        self._local = tempfile.NamedTemporaryFile(prefix="hadoop-new-")  # noqa: SIM115 - `close` removes it

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._local.write(data)

    def tell(self) -> int:
        return self._local.tell()

    def close(self) -> None:
        if not self.closed:
            try:
                self._local.flush()
                self._files.put(Path(self._local.name), self._path)
            finally:
                self._local.close()
                super().close()


class _HadoopFiles:
    """The files below one root; paths begin with a slash."""

    def __init__(self, root: str, settings: HadoopSettings) -> None:
        self._root, self._settings = root, settings

    def _at(self, path: str) -> tuple[Any, Any]:
        jvm, configuration = hadoop(self._settings)
        place = jvm.org.apache.hadoop.fs.Path(self._root + path)
        return place.getFileSystem(configuration), place

    def status(self, path: str) -> Any:
        """Hadoop's status of a path; None where nothing is."""
        with suppress(FileNotFoundError), java_errors(path):
            files, place = self._at(path)
            return files.getFileStatus(place)
        return None

    def listed(self, path: str) -> list[Any]:
        """List a folder.

        Raises:
            FileNotFoundError: there is none.
        """
        with java_errors(path):
            files, place = self._at(path)
            return list(files.listStatus(place))

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it."""
        with java_errors(path):
            files, place = self._at(path)
            files.mkdirs(place)

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all in it.

        Raises:
            FileNotFoundError: nothing is there.
        """
        with java_errors(path):
            files, place = self._at(path)
            if not files.delete(place, True):
                raise FileNotFoundError(path)

    def move(self, source: str, target: str) -> None:
        """Give a file another name, in place of one that has it: HDFS itself does not replace."""
        with java_errors(target):
            files, place = self._at(source)
            _, other = self._at(target)
            if files.exists(other):
                files.delete(other, False)
            if not files.rename(place, other):
                raise OSError(f"{source} could not be renamed")

    def put(self, local: Path, path: str) -> None:
        """Copy a file of this machine, in place of one that is there."""
        with java_errors(path):
            files, place = self._at(path)
            jvm, _ = hadoop(self._settings)
            files.copyFromLocalFile(False, True, jvm.org.apache.hadoop.fs.Path(local.as_uri()), place)

    def open(self, path: str) -> HadoopFile:
        """A file to read."""
        return HadoopFile(self._root + path, self._settings)

    def create(self, path: str) -> _NewFile:
        """A new file."""
        return _NewFile(self, path)


@lru_cache(maxsize=4)
def hadoop_system(root: str, settings: HadoopSettings) -> FileSystem:
    """The file system of `SCHEME://AUTHORITY`, without an authority the default one of Hadoop's configuration."""
    import pyarrow as pa
    from pyarrow.fs import FileInfo, FileSystemHandler, FileType, PyFileSystem

    files = _HadoopFiles(root, settings)

    def info(path: str, status: Any) -> Any:
        if status is None:
            return FileInfo(path, FileType.NotFound)
        if status.isDirectory():
            return FileInfo(path, FileType.Directory)
        return FileInfo(path, FileType.File, size=int(status.getLen()))

    class Handler(FileSystemHandler):  # type: ignore[misc]
        def get_type_name(self) -> str:
            return "hadoop"

        def normalize_path(self, path: str) -> str:
            return path

        def get_file_info(self, paths: list[str]) -> list[Any]:
            return [info(path, files.status(path)) for path in paths]

        def get_file_info_selector(self, selector: Any) -> list[Any]:
            try:
                found = files.listed(selector.base_dir)
            except FileNotFoundError:
                if selector.allow_not_found:
                    return []
                raise
            return [info(f"{selector.base_dir}/{status.getPath().getName()}", status) for status in found]

        def create_dir(self, path: str, recursive: bool) -> None:
            files.make_folder(path)

        def delete_dir(self, path: str) -> None:
            files.delete(path)

        def delete_file(self, path: str) -> None:
            files.delete(path)

        def move(self, src: str, dest: str) -> None:
            files.move(src, dest)

        def open_input_file(self, path: str) -> Any:
            return pa.PythonFile(files.open(path), mode="r")

        def open_output_stream(self, path: str, metadata: object) -> Any:
            return pa.PythonFile(files.create(path), mode="w")

        def _not_needed(self, *given: object) -> Any:
            raise NotImplementedError

        open_input_stream = open_input_file
        open_append_stream = copy_file = delete_dir_contents = delete_root_dir_contents = _not_needed

    return PyFileSystem(Handler())
