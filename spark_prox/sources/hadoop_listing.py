"""Lists what a path or a glob names, by Hadoop's client: in Spark's JVM on the driver, elsewhere in a small one.

Hidden files (`_SUCCESS`, `.x.crc`) are no input, as in Spark, but for one that is named. Knows no pyspark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spark_prox.sources.hadoop_jvm import HadoopSettings, hadoop, java_errors
from spark_prox.sources.path_lists import is_hidden

__all__ = ["HadoopEntry", "files_in_folder", "files_of_path", "list_hadoop"]


@dataclass(frozen=True, kw_only=True)
class HadoopEntry:
    """One file: its URI as Hadoop writes it, its name, its size in bytes, and when it was changed, in milliseconds."""

    uri: str
    name: str
    size: int
    modified: int


def list_hadoop(path: str, settings: HadoopSettings) -> list[HadoopEntry]:
    """The files that a path or a glob names, from a process that has no session.

    Raises:
        FileNotFoundError, OSError: the path cannot be listed.
        InputError: STORE_UNREADABLE: the file system cannot be reached.
    """
    with java_errors(path):
        return list(files_of_path(*hadoop(settings), path))


def files_in_folder(uri: str, settings: HadoopSettings) -> list[HadoopEntry]:
    """The files right in a folder, hidden ones too. Errors as above."""
    with java_errors(uri):
        jvm, configuration = hadoop(settings)
        path = jvm.org.apache.hadoop.fs.Path(uri)
        found = path.getFileSystem(configuration).listStatus(path)
        return [_entry(status) for status in found if not status.isDirectory()]


def files_of_path(jvm: Any, configuration: Any, path: str) -> Iterator[HadoopEntry]:
    """The files that a path or a glob names, folders searched to the bottom.

    Args:
        jvm, configuration: of Hadoop.

    Raises:
        Py4JJavaError: as Hadoop says it.
    """
    named = jvm.org.apache.hadoop.fs.Path(path)
    system = named.getFileSystem(configuration)
    if system.exists(named):  # also a file whose name holds glob characters
        yield from _walk(system, system.getFileStatus(named))
        return
    asks_for_hidden = named.getName().startswith(("_", "."))
    for status in system.globStatus(named) or ():
        if asks_for_hidden or not is_hidden(status.getPath().getName()):
            yield from _walk(system, status)


def _walk(system: Any, status: Any) -> Iterator[HadoopEntry]:
    """The files under one that was named; below it hidden ones are left out."""
    if not status.isDirectory():
        yield _entry(status)
        return
    for inner in system.listStatus(status.getPath()):
        if not is_hidden(inner.getPath().getName()):
            yield from _walk(system, inner)


def _entry(status: Any) -> HadoopEntry:
    path = status.getPath()
    return HadoopEntry(
        uri=str(path.toString()),
        name=str(path.getName()),
        size=int(status.getLen()),
        modified=int(status.getModificationTime()),
    )
