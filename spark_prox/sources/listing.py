"""Lists the files that paths name, without Spark: files, folders, globs, addresses of the web, lists of paths.

The Spark data source plans its tasks with it, in a process that has no session. Local paths, the file systems of
pyarrow and those of Hadoop can be listed; an address of the web is one file. Hidden files are no input, as in Spark.
Knows no format.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_prox.errors import InputError
from spark_prox.sources.hadoop_listing import list_hadoop
from spark_prox.sources.http_file import HttpFile
from spark_prox.sources.object_store import ObjectStores, read_by_hadoop, store_error
from spark_prox.sources.opening import is_local, is_web, local_path, open_file
from spark_prox.sources.path_lists import MAX_LIST_BYTES, is_hidden, is_path_list, listed_paths

__all__ = ["ListedFile", "file_size", "list_paths"]

GLOB = re.compile(r"[*?\[{]")
BRACES = re.compile(r"\{([^{}]*)\}")
MAX_EXPANDED = 10_000
NO_STORES = ObjectStores()


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file: its path (local ones absolute, without a scheme) and its size, None where that was not asked for."""

    path: str
    size: int | None = None


def list_paths(
    paths: Sequence[str],
    *,
    prefix: str | None = None,
    max_files: int | None = None,
    stores: ObjectStores = NO_STORES,
) -> list[ListedFile]:
    """Every file that the paths name, each once, in order of the paths given and of names within one.

    Args:
        paths: files, folders, globs and lists of paths (see `path_lists`).
        prefix, max_files: see `listed_paths`; `max_files` also counts over all paths.
        stores: see `open_file`.

    Raises:
        InputError: INPUT_NOT_FOUND, WRONG_FORMAT.
    """
    found: dict[str, ListedFile] = {}
    for path in paths:
        files = [file for one in _braces(path) for file in _files(one, prefix, max_files, stores)]
        if not files:
            raise InputError(
                "INPUT_NOT_FOUND", f"input {path!r} names no file.", "Give an existing file, folder or glob."
            )
        for file in files:
            found.setdefault(file.path, file)
    return list(found.values())[:max_files]


def file_size(file: ListedFile, stores: ObjectStores = NO_STORES) -> int | None:
    """Bytes of a file; None where they cannot be had, so that the file is read as a whole."""
    if file.size is not None:
        return file.size
    try:
        if is_local(file.path):
            return local_path(file.path).stat().st_size
        if is_web(file.path):
            return HttpFile(file.path).size()
        with stores.open(file.path) as stored:
            size: int | None = stored.size()
    except Exception:  # noqa: BLE001 - of any file system: the executor that reads the file says what is wrong
        return None
    return size


def _files(path: str, prefix: str | None, max_files: int | None, stores: ObjectStores) -> list[ListedFile]:
    try:
        if is_path_list(path):
            with ExitStack() as opened:
                content = open_file(path, opened, stores).read(MAX_LIST_BYTES + 1)
            names = listed_paths(content, where=path, prefix=prefix, max_files=max_files)
            return [ListedFile(path=name) for name in names]
        if is_web(path):
            return [ListedFile(path=path)]
        return sorted(_local(path) if is_local(path) else _remote(path, stores), key=lambda file: file.path)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - of any file system
        if isinstance(error, OSError) and (refused := store_error(path, error)):
            raise refused from None
        raise InputError(
            "INPUT_NOT_FOUND", f"input {path!r} cannot be listed ({type(error).__name__}).", "Check path and access."
        ) from None


def _local(path: str) -> Iterator[ListedFile]:
    place = local_path(path)
    if place.exists():
        yield from _walk(place)
        return
    asks_for_hidden = place.name.startswith(("_", "."))
    anchor = Path(place.anchor or ".")
    pattern = str(place.relative_to(anchor)) if place.anchor else str(place)
    for one in anchor.glob(pattern) if GLOB.search(pattern) else ():
        if asks_for_hidden or not is_hidden(one.name):
            yield from _walk(one)


def _walk(place: Path) -> Iterator[ListedFile]:
    if not place.is_dir():
        yield ListedFile(path=str(place.absolute()), size=place.stat().st_size)
        return
    for inner in place.iterdir():
        if not is_hidden(inner.name):
            yield from _walk(inner)


def _remote(path: str, stores: ObjectStores) -> Iterator[ListedFile]:
    if read_by_hadoop(path):
        for entry in list_hadoop(path, stores.hadoop):
            yield ListedFile(path=entry.uri, size=entry.size)
    else:
        yield from _by_pyarrow(path, stores)


def _by_pyarrow(path: str, stores: ObjectStores) -> Iterator[ListedFile]:
    from pyarrow.fs import FileSelector, FileType

    system, name = stores.resolve(path)
    scheme = path.partition("://")[0]
    info: Any = system.get_file_info(name)
    if info.type == FileType.File:
        yield ListedFile(path=path, size=info.size)
        return
    wanted = None
    if info.type == FileType.NotFound:
        if not GLOB.search(name):
            return
        wanted, name = name.split("/"), GLOB.split(name)[0].rpartition("/")[0]
    base = len(name.split("/"))
    for file in system.get_file_info(FileSelector(name, recursive=True)):
        parts = file.path.split("/")
        hidden = any(is_hidden(part) for part in parts[base if wanted is None else len(wanted) :])
        if file.type == FileType.File and not hidden and (wanted is None or _matches(parts, wanted)):
            yield ListedFile(path=f"{scheme}://{file.path}", size=file.size)


def _matches(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """True if a file's path matches a glob segment by segment, or lies in a folder that does."""
    if len(parts) < len(wanted) or (is_hidden(parts[len(wanted) - 1]) and not is_hidden(wanted[-1])):
        return False
    return all(fnmatch.fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted, strict=False))


def _braces(path: str) -> list[str]:
    """`a` and `b` of `{a,b}`, as Hadoop has it. A file of this very name is one path, and so is a web address."""
    if is_web(path) or (is_local(path) and local_path(path).exists()):
        return [path]
    waiting, expanded = [path], []
    while waiting:
        one = waiting.pop(0)
        found = BRACES.search(one)
        if found is None:
            expanded.append(one)
        else:
            waiting = [one[: found.start()] + choice + one[found.end() :] for choice in found[1].split(",")] + waiting
        if len(waiting) + len(expanded) > MAX_EXPANDED:
            raise InputError("INPUT_NOT_FOUND", f"input {path[:200]!r} has too many braces.", "Give several paths.")
    return expanded
