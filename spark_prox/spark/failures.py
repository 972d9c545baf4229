"""Spark failures that a person can fix, out of pages of Java: a full disk, a damaged file.

Knows no pyspark: an exception's text holds the whole chain of its causes.
"""

from __future__ import annotations

import re

from spark_prox.errors import ProxError, TableError

__all__ = ["fixable_failure"]

_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE[.\w]*\] Encountered error while reading file (?:file:/*(?=/))?(\S+?)\.\s")

# Features that Spark lacks, not data that the file has lost.
_LACKING = re.compile(
    r"Unsupported encoding: \w+|\w*Codec(?: \w+)? (?:was )?not found|[Cc]lass \S*Codec\S* (?:was )?not found|"
    r"PARQUET_COLUMN_DATA_TYPE_MISMATCH|Illegal Parquet type: [^.\n]{1,60}|Unrecognized Parquet type: [^.\n]{1,60}"
)


def fixable_failure(text: str) -> ProxError | None:
    """The failure that an exception's text tells of: DISK_FULL, TABLE_FILE_UNREADABLE; None for any other."""
    if _FULL.search(text):
        return TableError(
            "DISK_FULL",
            "No space is left on a disk that Spark writes to: the warehouse's, or spark.local.dir's.",
            "Make room and run the same command again: what was stored stays, and the run goes on.",
        )
    found = _UNREADABLE.search(text)
    if found and (lacking := _LACKING.search(text)):
        return TableError(
            "TABLE_FILE_UNREADABLE",
            f"Spark cannot read the file {found.group(1)} ({lacking.group(0)[:120]}).",
            "It is not damaged: write it again with a type, encoding and codec that Spark has.",
        )
    if found and "ChecksumException" in text:
        folder, _, name = found.group(1).rpartition("/")
        return TableError(
            "TABLE_FILE_UNREADABLE",
            f"The file {found.group(1)} does not match its checksum in {folder}/.{name}.crc.",
            "Restore the file from a copy, or delete the checksum if only that is old, and run the same command again: "
            "what was stored stays, and the run goes on.",
        )
    if found:
        return TableError(
            "TABLE_FILE_UNREADABLE",
            f"The file {found.group(1)} is damaged or gone.",
            "Restore it from a copy and run the same command again: what was stored stays, and the run goes on.",
        )
    return None
