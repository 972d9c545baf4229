"""Check if the first bytes of a file may be of a named format.

Generous: a damaged file of the right format passes, because what is wrong in it becomes rejects; a file of another
format does not. Knows nothing of file systems.
"""

from __future__ import annotations

import json
import zlib

from spark_prox.sources.formats import FORMATS
from spark_prox.sources.unpacking import is_unpackable
from spark_prox.sources.warc.record_heads import ARC_LINE, RECORD_START

__all__ = ["SNIFF_BYTES", "may_be"]

SNIFF_BYTES = 1 << 16
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"


def may_be(format_name: str, start: bytes) -> bool:
    """True if a file that begins with `start` (up to 64 KiB) may be of the format. An empty file may be anything."""
    content = FORMATS[format_name].content
    if not start or not content:
        return True
    if content == "parquet":
        return start.startswith(PARQUET_MAGIC)
    if start.startswith(PARQUET_MAGIC):
        return False
    if is_unpackable(start):
        return True  # not looked into
    if start.startswith(GZIP_MAGIC):
        try:
            start = zlib.decompressobj(31).decompress(start, SNIFF_BYTES)
        except zlib.error:
            return True  # broken: its format cannot be told
        if not start:
            return True
    return _may_be_archive(start) if content == "archive" else _may_be_json_lines(start)


def _may_be_archive(start: bytes) -> bool:
    """A record starts somewhere in it; the first may be missing or damaged."""
    return bool(RECORD_START.search(start) or ARC_LINE.search(start) or start.lstrip().startswith(b"WARC/"))


def _may_be_json_lines(start: bytes) -> bool:
    """One of its lines is an object, or the only one could become one."""
    lines = [line.strip() for line in start.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    filled = [line for line in lines if line]
    if not filled:
        return True
    if (len(filled) == 1 or len(start) >= SNIFF_BYTES) and filled[-1].startswith(b"{"):
        return True
    return any(_is_object(line) for line in filled)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8", "replace"), strict=False), dict)
    except (ValueError, RecursionError):
        return False
