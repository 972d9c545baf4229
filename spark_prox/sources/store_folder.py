"""Lists the files right in a folder of a store, by pyarrow, or by Hadoop's client where only that knows the store."""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.sources.hadoop_listing import files_in_folder
from spark_prox.sources.object_store import ObjectStores, read_by_hadoop

__all__ = ["StoredFile", "stored_files"]


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file: its URI, for `ObjectStores.open`, its name, its size in bytes, and when it was changed."""

    uri: str
    name: str
    size: int
    modified_ns: int


def stored_files(stores: ObjectStores, folder: str) -> list[StoredFile]:
    """The files of a folder by name, without those of folders in it.

    Raises:
        InputError: STORE_REQUESTER_PAYS, STORE_UNREADABLE.
        OSError, ValueError: the folder is not there, or cannot be listed.
    """
    if read_by_hadoop(folder):
        found = [
            StoredFile(uri=entry.uri, name=entry.name, size=entry.size, modified_ns=entry.modified * 1_000_000)
            for entry in files_in_folder(folder, stores.hadoop)
        ]
    else:
        found = _by_pyarrow(stores, folder)
    return sorted(found, key=lambda file: file.name)


def _by_pyarrow(stores: ObjectStores, folder: str) -> list[StoredFile]:
    from pyarrow.fs import FileSelector, FileType

    system, path = stores.resolve(folder)
    return [
        StoredFile(
            uri=f"{folder.rstrip('/')}/{info.base_name}",
            name=str(info.base_name),
            size=int(info.size),
            modified_ns=int(info.mtime_ns or 0),
        )
        for info in system.get_file_info(FileSelector(path))
        if info.type == FileType.File
    ]
