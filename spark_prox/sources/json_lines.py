"""Cuts a JSON Lines file, or a part of one, into lines that hold one object each, and rejects for the others.

Checks that a line is one JSON object and notes its shape; Spark reads its fields. A line with a repeated key is
written again with the last value of each, so that no other line hears of it; so is one with a bare NaN. A line
belongs to the part that its first byte is in. Knows nothing of columns.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.json_shape import MAX_DEPTH, Shape
from spark_prox.sources.unpacking import PackedError, is_decompressing, unpacked
from spark_prox.sources.warc.archive_bytes import ArchiveBytes

__all__ = ["LineRow", "read_json_lines"]

BLOCK_BYTES = 1 << 18
BOM = b"\xef\xbb\xbf"
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class LineRow:
    """One line: where it starts (bytes, decompressed), and its text or why it has none."""

    position: int
    line: str | None = None
    reject_code: RejectCode | None = None
    reject_detail: str | None = None


def read_json_lines(
    stream: BinaryIO,
    *,
    start: int = 0,
    end: int | None = None,
    max_line_bytes: int = 128 << 20,
    shape: Shape | None = None,
) -> Iterator[LineRow]:
    """The non-blank lines whose first byte is in `start..end`.

    Args:
        stream: the file at `start`, or one byte before it where `start` is over 0; plain or packed.
        start: offset of the part in a plain file.
        end: offset behind the part, None for the end of the file.
        max_line_bytes: a longer line is TEXT_TOO_LARGE.
        shape: takes what the lines look like.
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
        if position == 0 and data.window.startswith(UTF_16_MARKS):
            detail = "the file is UTF-16, JSON Lines are UTF-8 (iconv -f utf-16 -t utf-8)"
            yield LineRow(position=0, reject_code=RejectCode.FILE_UNREADABLE, reject_detail=detail)
            return
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
                yield _checked(raw, position, shape)
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


def _checked(raw: bytes, position: int, shape: Shape | None) -> LineRow:
    line = raw.decode("utf-8", "replace")
    objects = _Objects()
    try:
        value = json.loads(line, strict=False, object_pairs_hook=objects, parse_constant=objects.constant)
        if _is_deep(value, line):
            raise RecursionError
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = f"no JSON at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "no JSON"
        if line.strip() in ("[", "{"):
            problem = "JSON that goes over several lines, where each line is one object (jq -c makes them)"
    else:
        if isinstance(value, dict):
            if shape is not None:
                shape.add_line(value)
            return LineRow(position=position, line=_rewritten(line) if objects.is_odd else line)
        problem = f"a JSON {type(value).__name__}, not an object"
    return LineRow(position=position, reject_code=RejectCode.BAD_ROW, reject_detail=problem)


class _Objects:
    """Makes objects of pairs, of which the last value of a key counts, and notes what Spark would read otherwise."""

    def __init__(self) -> None:
        self.is_odd = False

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self.is_odd |= len(made) < len(pairs)
        return made

    def constant(self, name: str) -> float:
        """NaN or an infinity, which JSON does not have."""
        self.is_odd = True
        return float(name)


class _Token(str):
    """A number as it is written."""


def _rewritten(line: str) -> str:
    """The line with one value for each key, numbers as they are written, and NaN in quotes."""
    value = json.loads(line, strict=False, parse_int=_Token, parse_float=_Token, parse_constant=str)
    return _written(value)


def _written(value: object) -> str:
    if isinstance(value, _Token):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(inner) for inner in value) + "]"
    return json.dumps(value)


def _is_deep(value: object, line: str) -> bool:
    """True if a value has more than `MAX_DEPTH` levels."""
    if line.count("{") + line.count("[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        level = [one for one in inner if isinstance(one, (dict, list))]
        if not level:
            return False
    return True
