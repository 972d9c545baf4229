"""Check that a run does not read what it writes: the warehouse's tables lie outside the input.

Compares paths as text, after links of this machine are followed. Reads no folder.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from spark_prox.config.names import CATALOG_PREFIX
from spark_prox.errors import ConfigError

__all__ = ["TABLE_NAMES", "check_apart"]

TABLE_NAMES = ("documents", "programs", "refined", "rejects", "runs", "annotations", "verdicts")
_GLOB = re.compile(r"[*?\[{]")
_Place = tuple[str, tuple[str, ...]]
"""File system, and the parts of a path in it."""


def check_apart(input_path: str, warehouse: str) -> None:
    """Refuse an input that covers the warehouse's tables, or lies in one of them.

    Args:
        input_path: files, folders, globs, separated by commas; a table's name has no slash and is left alone.

    Raises:
        ConfigError: WAREHOUSE_IN_INPUT.
    """
    if warehouse.startswith(CATALOG_PREFIX):
        return
    system, folder = _place(warehouse)
    for path in _alternatives(input_path):
        other, pattern = _place(path)
        if other != system:
            continue
        for table in TABLE_NAMES:
            if all(fnmatchcase(name, part) for name, part in zip((*folder, table), pattern, strict=False)):
                raise ConfigError(
                    "WAREHOUSE_IN_INPUT",
                    f"The input {path[:200]!r} covers the warehouse {warehouse[:200]!r}: the next run would read what "
                    "this one writes.",
                    "Use a warehouse outside the input, or an input that names its files.",
                )


def _alternatives(paths: str) -> Iterator[str]:
    """The paths of a list, with braces written out; a comma inside braces separates no paths."""
    depth, start = 0, 0
    for position, character in enumerate(paths + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and (depth <= 0 or position == len(paths)):
            if path := paths[start:position].strip():
                yield from _without_braces(path, 64)
            start = position + 1


def _without_braces(path: str, most: int) -> Iterator[str]:
    found = re.search(r"\{([^{}]*)\}", path)
    if found is None or most <= 0:
        yield path
        return
    for choice in found.group(1).split(",")[:most]:
        yield from _without_braces(path[: found.start()] + choice + path[found.end() :], most // 2)


def _place(path: str) -> _Place:
    parts = urlsplit(path) if "://" in path or path.startswith("file:") else None
    if parts is not None and parts.scheme != "file":
        scheme = "s3" if parts.scheme in ("s3a", "s3n") else parts.scheme
        return f"{scheme}://{parts.netloc}", _parts(posixpath.normpath(parts.path or "/"))
    local = path if parts is None else path.removeprefix("file://").removeprefix("file:")
    glob = _GLOB.search(local)
    fixed = local if glob is None else local[: glob.start()].rpartition("/")[0] or ("/" if local[:1] == "/" else ".")
    rest = "" if glob is None else local[local[: glob.start()].rfind("/") + 1 :]
    return "file", (*_parts(os.path.realpath(fixed)), *_parts(rest))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))
