"""Reads lists of paths, as Common Crawl publishes them (`warc.paths.gz`): one path a line, relative to a prefix.

Knows names and text only, no file system.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from spark_prox.errors import InputError

__all__ = ["MAX_LIST_BYTES", "is_hidden", "is_path_list", "listed_paths", "split_paths"]

SUFFIXES = (".paths", ".paths.gz")
MAX_LIST_BYTES = 256 << 20


def split_paths(paths: str) -> list[str]:
    """The paths of a comma-separated text; commas within braces belong to a glob."""
    names, depth, current = [], 0, ""
    for character in paths:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            names.append(current)
            current = ""
        else:
            current += character
    return [name.strip() for name in (*names, current) if name.strip()]


def is_hidden(name: str) -> bool:
    """True for the name of a file or folder that is no input, as in Spark: `_SUCCESS`, `.x.crc`; not `_year=2024`."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def is_path_list(path: str) -> bool:
    """True if a file is a list of paths, by its name."""
    return path.lower().endswith(SUFFIXES)


def listed_paths(content: bytes, *, where: str, prefix: str | None, max_files: int | None = None) -> list[str]:
    """The files that a list names.

    Args:
        content: the list, plain or gzip.
        where: its own address. Without a prefix paths are relative to its host or bucket, or to its folder.
        prefix: what stands before every relative path, for example `https://data.commoncrawl.org/`.
        max_files: take only so many, from the first on.

    Raises:
        InputError: WRONG_FORMAT, INPUT_NOT_FOUND.
    """
    lines = [line.strip() for line in _text(content, where).splitlines()]
    named = [line for line in lines if line and not line.startswith("#")][:max_files]
    if not named:
        raise InputError("INPUT_NOT_FOUND", f"the list {where!r} names no file.", "Give a list with one path a line.")
    base = _base(where) if prefix is None else prefix
    base = base if base.endswith("/") else base + "/"
    return [name if "://" in name or name.startswith("/") else base + name for name in named]


def _text(content: bytes, where: str) -> str:
    try:
        if content.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                content = file.read(MAX_LIST_BYTES + 1)
        if len(content) > MAX_LIST_BYTES:
            raise ValueError
        return content.decode("utf-8")
    except (OSError, EOFError, zlib.error, ValueError):
        raise InputError(
            "WRONG_FORMAT",
            f"the list of paths {where!r} cannot be read.",
            f"Give UTF-8 text, plain or gzip, of at most {MAX_LIST_BYTES >> 20} MiB.",
        ) from None


def _base(where: str) -> str:
    if "://" not in where:
        return str(PurePosixPath(where).parent)
    parts = urlsplit(where)
    return f"{parts.scheme}://{parts.netloc}/"
