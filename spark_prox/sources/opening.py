"""Opens a file by its path or address as a stream of its bytes as stored.

Local paths are opened directly, http:// and https:// through `http_file`, all others through `pyarrow.fs`: s3:// and
s3a:// (credentials from the environment or instance profile), gs://, abfs://, and hdfs:// where libhdfs is installed.
Knows nothing of what a file holds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from spark_prox.sources.http_file import HttpFile

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ["FindFileSystem", "is_local", "is_web", "local_path", "open_file", "resolve"]

FindFileSystem = Callable[[str], "tuple[FileSystem, str]"]


def is_web(path: str) -> bool:
    """Whether a path is an address of the web."""
    return path.lower().startswith(("http://", "https://"))


def is_local(path: str) -> bool:
    """Whether a path is of this machine's own file system."""
    return "://" not in path or path.startswith("file:")


def local_path(path: str) -> Path:
    """A local path without its scheme."""
    return Path("/" + path[5:].lstrip("/") if path.startswith("file:") else path)


def resolve(path: str) -> tuple[FileSystem, str]:
    """The file system of an address and the path in it, as pyarrow finds them."""
    from pyarrow.fs import FileSystem

    scheme = path.partition("://")[0]
    system, name = FileSystem.from_uri("s3" + path[len(scheme) :] if scheme in ("s3a", "s3n") else path)
    return system, name


def open_file(path: str, offset: int, opened: ExitStack, find: FindFileSystem = resolve) -> BinaryIO:
    """A stream of the file from `offset`; `opened` closes it.

    Args:
        find: the file system of an address that is neither local nor of the web.

    Raises:
        OSError, ValueError: it cannot be opened.
    """
    stream: Any
    if is_local(path):
        stream = opened.enter_context(local_path(path).open("rb"))
    elif is_web(path):
        stream = HttpFile(path)
        opened.callback(stream.close)
    else:
        system, name = find(path)
        stream = opened.enter_context(system.open_input_file(name))
    if offset:
        stream.seek(offset)
    return cast(BinaryIO, stream)
