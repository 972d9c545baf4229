"""Reads the block of one record and checks its length against what follows it.

A block whose Content-Length is wrong is told apart by the record that starts inside of it, or by the bytes left
behind it. Knows nothing of what a block holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from spark_prox.errors import RejectCode
from spark_prox.sources.warc.archive_bytes import ArchiveBytes, Fault
from spark_prox.sources.warc.resync import next_start, seek_start, starts_of

__all__ = ["Block", "read_block"]

TAIL_BYTES = 8
LOOK_AHEAD = 1 << 12
PASS_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Block:
    """The bytes of one record.

    Attributes:
        data: what was kept of them.
        size: how many there are.
        flaw: None, or why they are not what the head promises.
        detail: the flaw in words, without any content.
        passed: bytes behind the block that belong to no record.
        fault: what ended the stream inside or right behind the block.
    """

    data: bytes
    size: int
    flaw: RejectCode | None = None
    detail: str = ""
    passed: int = 0
    fault: Fault | None = None

    def with_detail(self, more: str) -> Block:
        """The same block with `more` behind its detail."""
        return replace(self, detail=self.detail + more)


def read_block(
    data: ArchiveBytes, length: int, *, is_arc: bool, own_member: int | None, max_block_bytes: int, has_cr: bool
) -> Block:
    """Take a block of `length` bytes; the window then starts behind it, or at the next record if the length is wrong.

    Args:
        data: its window starts at the block.
        length: what the head says.
        is_arc: how the next record looks.
        own_member: the gzip member that begins with this record, so that a bad checksum at its end is this record's.
        has_cr: the record's head has carriage returns, so its block did not lose any.
        max_block_bytes: a longer block is passed over and only so much of it is kept.
    """
    if length > max_block_bytes:
        return _pass_large(data, length, max_block_bytes, is_arc)
    have = data.fill(length + TAIL_BYTES)
    if have < length:
        inner = next_start(data, 0, have, is_arc)
        if inner is not None:
            return _cut(data, inner, length, has_cr)
        return _end(data, have, length, has_cr)
    if _ends_well(data, length, have, is_arc):
        fault = data.fault
        if fault is None or fault.member != own_member or data.window[length:].strip(b"\r\n"):
            return _take(data, length)
        return replace(_take(data, have), size=length, flaw=fault.code, detail=fault.detail, fault=fault)
    inner = next_start(data, 0, min(length, len(data.window)), is_arc)
    if inner is not None:
        return _cut(data, inner, length, has_cr)
    block = _take(data, length)
    _, passed = seek_start(data, is_arc)
    if not passed:
        return block
    detail = f"{passed} bytes follow the {length} of the record's length"
    return replace(block, flaw=RejectCode.RECORD_BAD_LENGTH, detail=detail, passed=passed)


def _ends_well(data: ArchiveBytes, length: int, have: int, is_arc: bool) -> bool:
    """True if the block is followed by the end, a gzip member, the mark of a record's end, or a record."""
    if data.starts_member(length):
        return True
    tail = bytes(data.window[length : min(have, length + TAIL_BYTES)])
    rest = tail.lstrip(b"\r\n")
    return (
        not rest
        or tail.startswith(b"\r\n\r\n")
        or any(start.startswith(rest[: len(start)]) or rest.startswith(start) for start in starts_of(is_arc))
    )


def _take(data: ArchiveBytes, size: int) -> Block:
    kept = bytes(data.window[:size])
    data.advance(size)
    return Block(data=kept, size=size)


def _cut(data: ArchiveBytes, at: int, length: int, has_cr: bool) -> Block:
    """A block inside of which the next record starts."""
    block = _take(data, at)
    if not has_cr and _only_line_ends_changed(block.data, length):
        return block
    detail = f"the next record starts after {at} of {length} bytes"
    return replace(block, flaw=RejectCode.RECORD_BAD_LENGTH, detail=detail)


def _end(data: ArchiveBytes, have: int, length: int, has_cr: bool) -> Block:
    """A block that the stream ends in."""
    fault = data.fault
    block = _take(data, have)
    if fault is None and not has_cr and _only_line_ends_changed(block.data, length):
        return block
    detail = f"the block has {have} of {length} bytes" + (f": {fault.detail}" if fault else "")
    code = fault.code if fault else RejectCode.ARCHIVE_TRUNCATED
    return replace(block, flaw=code, detail=detail, fault=fault)


def _only_line_ends_changed(block: bytes, length: int) -> bool:
    """True if the missing bytes are the carriage returns of all lines, or of those of a stored HTTP head."""
    if b"\r" in block:
        return False
    body = block.rstrip(b"\n")
    ends = range(len(body), len(block) + 1)
    head = block.partition(b"\n\n")[0].count(b"\n") + 2 if block.startswith(b"HTTP/") else 0
    return any(length - end in (block.count(b"\n", 0, end), head) for end in ends)


def _pass_large(data: ArchiveBytes, length: int, max_block_bytes: int, is_arc: bool) -> Block:
    """A block over the cap: its first bytes, and the rest passed over, but never the next record in a gzip member."""
    data.fill(max_block_bytes)
    kept = bytes(data.window[:max_block_bytes])
    left = length
    at = None
    while left and at is None and (have := data.fill(PASS_BYTES)):
        last = have if have < PASS_BYTES else have - LOOK_AHEAD
        starts = data.member_starts(min(left, last))
        at = next((start for start in starts if data.window.startswith(starts_of(is_arc), start)), None)
        step = min(left, last) if at is None else at
        data.advance(step)
        left -= step
    if not left:
        return Block(data=kept, size=length)
    detail = f"the block has {length - left} of {length} bytes"
    if at is not None:
        return Block(data=b"", size=length - left, flaw=RejectCode.RECORD_BAD_LENGTH, detail=detail)
    code = data.fault.code if data.fault else RejectCode.ARCHIVE_TRUNCATED
    return Block(data=b"", size=length - left, flaw=code, detail=detail, fault=data.fault)
