"""Cuts the bytes of an archive into records, and what is no record into gaps.

A record that breaks (bad head, broken gzip) costs itself: reading goes on at the next thing that starts like a
record, and each broken stretch is told once. Knows nothing of what is inside a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spark_prox.errors import RejectCode
from spark_prox.sources.warc.archive_bytes import ArchiveBytes
from spark_prox.sources.warc.blocks import Block, read_block
from spark_prox.sources.warc.record_heads import MAX_HEAD_BYTES, RecordHead, parse_arc_line, parse_warc_head
from spark_prox.sources.warc.resync import MAX_BLANK_BYTES, WARC_START, begins_range, seek_start, skip_blank, starts_of

__all__ = ["Frame", "Gap", "iterate_frames"]

HEAD_END = re.compile(rb"\n\r?\n")
FIRST_LOOK = 1 << 12


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A record: where it is (see `ArchiveBytes.position`), its head and its block."""

    position: int
    head: RecordHead
    block: Block


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Bytes that belong to no readable record; `head` is what could be read of one."""

    position: int
    code: RejectCode
    detail: str
    head: RecordHead | None = None


def iterate_frames(data: ArchiveBytes, *, max_block_bytes: int, stop: int | None = None) -> Iterator[Frame | Gap]:
    """Every record and every gap of one archive, in order; raises only what reading the file raises.

    Args:
        data: the archive.
        max_block_bytes: of a longer block only this much is kept.
        stop: file offset; ends at the first record there or behind at which a range of the file can begin.
    """
    is_arc: bool | None = None
    while not data.is_over:
        if not skip_blank(data):
            data.give_up(f"more than {MAX_BLANK_BYTES} blank bytes between records")
        if not data.fill(1):
            if data.fault is None:
                return
            fault, way = data.fault, _recover(data, is_arc)
            yield Gap(position=fault.member, code=fault.code, detail=fault.detail + way)
            continue
        if stop is not None and data.stored_at >= stop and begins_range(data, is_arc):
            return
        position = data.position
        head = _read_head(data, is_arc)
        if head is None or head.length is None:
            yield _pass_broken(data, position, head, is_arc)
            continue
        is_arc = head.is_arc
        own_member = position if data.member == position else None
        block = read_block(
            data, head.length, is_arc=is_arc, own_member=own_member, max_block_bytes=max_block_bytes, has_cr=head.has_cr
        )
        if block.fault is not None:
            block = block.with_detail(_recover(data, is_arc))
        yield Frame(position=position, head=head, block=block)


def _recover(data: ArchiveBytes, is_arc: bool | None) -> str:
    """Go on behind a fault where that is possible; returns the way there in words."""
    skipped = data.recover(starts_of(is_arc))
    return "" if skipped is None else f"; the next readable gzip member is {skipped} bytes on"


def _read_head(data: ArchiveBytes, is_arc: bool | None) -> RecordHead | None:
    """The head at the start of the window, which then starts at the block. None and no step if there is none."""
    data.fill(FIRST_LOOK)
    return _read_warc_head(data) if data.window.startswith(WARC_START) else _read_arc_head(data, is_arc)


def _read_warc_head(data: ArchiveBytes) -> RecordHead | None:
    size = FIRST_LOOK
    while True:
        have = data.fill(size)
        found = HEAD_END.search(data.window, 0, MAX_HEAD_BYTES)
        if found:
            head = parse_warc_head(bytes(data.window[: found.start() + 1]))
            data.advance(found.end())
            return head
        if have < size or size >= MAX_HEAD_BYTES:
            return None
        size *= 4


def _read_arc_head(data: ArchiveBytes, is_arc: bool | None) -> RecordHead | None:
    """One line; in a file that has not begun as an ARC it must look the part, in a WARC there is none."""
    if is_arc is False:
        return None
    data.fill(4 * FIRST_LOOK)
    end = data.window.find(b"\n", 0, 4 * FIRST_LOOK) + 1 or min(len(data.window), 4 * FIRST_LOOK)
    head = parse_arc_line(bytes(data.window[:end]))
    date = head.headers["warc-date"] if head else ""
    if head is None or not (is_arc or head.kind == "warcinfo" or (date.isdigit() and len(date) >= 8)):
        return None
    data.advance(end)
    return head


def _pass_broken(data: ArchiveBytes, position: int, head: RecordHead | None, is_arc: bool | None) -> Gap:
    """Go to the next record start, from behind a head without a length or from something that is no head."""
    begun = (
        head is not None
        or data.window.startswith(WARC_START)
        or WARC_START.startswith(bytes(data.window[: len(WARC_START) + 1]))
    )
    passed = 0
    if head is None:
        data.advance(1)
        passed = 1
    found, count = seek_start(data, bool(is_arc) or (head is not None and head.is_arc))
    passed += count
    if not found and data.fault is not None:
        code, what = data.fault.code, data.fault.detail + _recover(data, is_arc)
    elif not begun:
        code, what = RejectCode.ARCHIVE_CORRUPT, "no record starts here"
    elif head is not None:
        code, what = RejectCode.RECORD_BAD_HEADER, "the record's head has no usable length"
    elif found or passed > MAX_HEAD_BYTES:
        code, what = RejectCode.RECORD_BAD_HEADER, "the record's head has no end"
    else:
        code, what = RejectCode.ARCHIVE_TRUNCATED, "the file ends inside a record's head"
    return Gap(position=position, code=code, detail=f"{what}; {passed} bytes passed over", head=head)
