"""A snapshot of an input when a run read it: enough to tell later whether it is still the same.

Files are told by path, size and time of change, a Delta table by its version. Reads nothing itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["InputSnapshot", "snapshot_of_files"]


@dataclass(frozen=True, kw_only=True)
class InputSnapshot:
    """An input at one time.

    Attributes:
        path: as it was configured.
        files, bytes: how many files and how large together; 0 for a table.
        digest: SHA-256 (first 16 hex digits) over each file's path, size and time of change; of a table, its id.
        version: of a Delta table; None for files.
    """

    path: str
    files: int = 0
    bytes: int = 0
    digest: str = ""
    version: int | None = None

    def as_json(self) -> str:
        """For the table `runs`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> InputSnapshot:
        """Back from `as_json`; names of other versions are left out."""
        found = json.loads(text)
        return cls(**{name: value for name, value in found.items() if name in cls.__dataclass_fields__})

    @property
    def described(self) -> str:
        """In words; the path is not escaped."""
        if self.version is not None:
            return f"{self.path}, version {self.version} of table {self.digest or 'without an id'}"
        return f"{self.path}: {self.files:,} files, {self.bytes:,} bytes, digest {self.digest}"

    def differs(self, other: InputSnapshot) -> str | None:
        """Name what differs from another reading of the input, in words; None if nothing does."""
        if (self.version is None) != (other.version is None):
            return "a table, and files"
        if self.version is not None:
            if self.digest != other.digest:
                return f"another table: {self.digest or '-'}, now {other.digest or '-'}"
            return f"version {self.version}, now {other.version}" if self.version != other.version else None
        if (self.files, self.bytes) != (other.files, other.bytes):
            return f"{self.files:,} files of {self.bytes:,} bytes, now {other.files:,} of {other.bytes:,}"
        return "other files, or files that were written again" if self.digest != other.digest else None


def snapshot_of_files(path: str, files: Iterable[tuple[str, int, int]]) -> InputSnapshot:
    """The snapshot of files.

    Args:
        path: as it was configured.
        files: path, size in bytes, and time of change in milliseconds of each.
    """
    found = sorted(files)
    text = "\n".join(f"{name}\t{size}\t{modified}" for name, size, modified in found)
    return InputSnapshot(
        path=path,
        files=len(found),
        bytes=sum(size for _, size, _ in found),
        digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )
