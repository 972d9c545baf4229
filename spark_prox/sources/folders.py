"""The columns that the folders of a path name: `dump=CC-MAIN-2024-10/lang=en/part.parquet`, as Hive and Spark write.

They are read off the path of every file, however the input was named, so that a folder, a glob and a single file give
the same columns. Knows paths as text only.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NO_VALUE", "folder_keys"]

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def folder_keys(paths: Iterable[str]) -> list[str]:
    """The keys of the unbroken run of `key=value` folders nearest to each file, as written, each once, in order."""
    keys: dict[str, None] = {}
    for folder in dict.fromkeys(path.rpartition("/")[0] for path in paths):
        if "=" in folder:
            keys.update(dict.fromkeys(_keys(folder)))
    return list(keys)


def _keys(folder: str) -> list[str]:
    found: list[str] = []
    for name in reversed(folder.split("/")):
        key, equals, _ = name.partition("=")
        if key and equals:
            found.append(key)
        elif found:
            break
    return found[::-1]
