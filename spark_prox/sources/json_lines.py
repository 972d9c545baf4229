"""Cuts a JSON Lines file, or a part of one, into lines that hold one object each, and rejects for the others.

Only checks that a line is one JSON object; Spark reads its fields. A line belongs to the part that its first byte is
in. Knows nothing of columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.unpacking import PackedError, is_decompressing, unpacked
from spark_prox.sources.warc.archive_bytes import ArchiveBytes

__all__ = ["LineRow", "read_json_lines"]

BLOCK_BYTES = 1 << 18
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One line: where it starts (bytes, decompressed), and its text or why it has none."""

    position: int
    line: str | None = None
    reject_code: RejectCode | None = None
    reject_detail: str | None = None


def read_json_lines(
    stream: BinaryIO, *, start: int = 0, end: int | None = None, max_line_bytes: int = 128 << 20
) -> Iterator[LineRow]:
    """The non-blank lines whose first byte is in `start..end`.

    Args:
        stream: the file at `start`, or one byte before it where `start` is over 0; plain or gzip.
        start: offset of the part in a plain file.
        end: offset behind the part, None for the end of the file.
        max_line_bytes: a longer line is TEXT_TOO_LARGE.
    """
    try:
        content = stream if start else unpacked(stream)
        data = ArchiveBytes(content)
    except PackedError as error:
        yield LineRow(position=0, reject_code=RejectCode.FILE_UNREADABLE, reject_detail=error.detail)
        return
    if data.gzipped or (not start and is_decompressing(content)):
        end = None  # offsets of a part mean nothing in a packed file: its first part is all of it
    base = max(start - 1, 0)
    if start and not _pass_line(data):
        return
    while data.fill(1):
        position = base + data.offset
        if end is not None and position >= end:
            return
        if position == 0 and data.fill(3) and data.window.startswith(BOM):
            data.advance(len(BOM))
            continue
        block = _take_lines(data, max_line_bytes)
        if block is None:
            detail = f"line of more than {max_line_bytes} bytes"
            _pass_line(data)
            yield LineRow(position=position, reject_code=RejectCode.TEXT_TOO_LARGE, reject_detail=detail)
            continue
        for raw in block.split(b"\n"):
            if end is not None and position >= end:
                return
            if raw.strip():
                yield _checked(raw, position)
            position += len(raw) + 1
    if data.fault is not None:
        detail = f"{data.fault.detail}; what follows is lost"
        yield LineRow(position=data.offset, reject_code=RejectCode.FILE_UNREADABLE, reject_detail=detail)


def _take_lines(data: ArchiveBytes, max_line_bytes: int) -> bytes | None:
    """The next whole lines, without the last line end; None if one line is over the limit."""
    size = BLOCK_BYTES
    searched = 0
    while True:
        have = data.fill(size)
        last = data.window.rfind(b"\n", searched)
        if last < 0 and have >= size:
            if size > max_line_bytes:
                return None
            searched, size = have, 2 * size
            continue
        ends_here = last < 0
        block = bytes(data.window if ends_here else data.window[:last])
        data.advance(len(block) + (not ends_here))
        return block


def _pass_line(data: ArchiveBytes) -> bool:
    """Advance behind the next line end; False if there is none."""
    while data.fill(BLOCK_BYTES):
        at = data.window.find(b"\n")
        data.advance(at + 1 if at >= 0 else len(data.window))
        if at >= 0:
            return True
    return False


def _checked(raw: bytes, position: int) -> LineRow:
    line = raw.decode("utf-8", "replace")
    try:
        value = json.loads(line, strict=False)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = f"no JSON at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "no JSON"
    else:
        if isinstance(value, dict):
            return LineRow(position=position, line=line)
        problem = f"a JSON {type(value).__name__}, not an object"
    return LineRow(position=position, reject_code=RejectCode.BAD_ROW, reject_detail=problem)
