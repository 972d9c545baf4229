"""Reads the records and gaps of an archive file, or of a byte range of one.

A file that cannot be opened, is empty or breaks off gives a gap with its code, and never an exception. A range holds
the records that start in it, so that ranges side by side give every record once: in a plain file a record starts at
its head, in a gzip file at its member. Knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.unpacking import PackedError, is_decompressing, is_unpackable, unpacked
from spark_prox.sources.warc.archive_bytes import GZIP_MAGIC, ArchiveBytes, begins_member
from spark_prox.sources.warc.framing import Frame, Gap, iterate_frames
from spark_prox.sources.warc.record_heads import ARC_LINE, RECORD_START
from spark_prox.sources.warc.resync import WARC_START, starts_of

__all__ = ["file_frames"]

STEP_BYTES = 1 << 20
HEAD_BYTES = 1 << 14  # a record start is recognised if this much of it is there


def file_frames(
    stream: BinaryIO, *, max_block_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[Frame | Gap]:
    """Every record and every gap, in order.

    Args:
        stream: the file from its beginning, plain or packed; read forward, with one seek where `start` is not 0.
        max_block_bytes: of a longer block only this much is kept.
        start, stop: the range in bytes of the file as stored. A file that cannot be divided (bzip2, xz, Zstandard,
            one gzip member) belongs to its first range as a whole.
    """
    data: ArchiveBytes | None = None
    try:
        if start:
            found = _first_start(stream, start, stop)
            if found is None:
                return
            stream.seek(found)
            data = ArchiveBytes(stream, start=found)
        else:
            stream = unpacked(stream)
            if is_decompressing(stream):
                stop = None
            data = ArchiveBytes(stream)
        if not data.fill(1) and not data.gzipped:
            fault = data.fault
            code = RejectCode.ARCHIVE_UNREADABLE if fault else RejectCode.ARCHIVE_TRUNCATED
            yield Gap(position=start, code=code, detail=fault.detail if fault else "the file is empty")
            return
        is_empty = True
        for item in iterate_frames(data, max_block_bytes=max_block_bytes, stop=stop):
            is_empty = False
            yield item
        if is_empty and not start:
            yield Gap(position=0, code=RejectCode.ARCHIVE_CORRUPT, detail="the file holds blank bytes only")
    except PackedError as error:
        yield Gap(position=start, code=RejectCode.ARCHIVE_UNREADABLE, detail=error.detail)
    except OSError as error:
        position = data.position if data else start
        detail = f"reading the file failed: {type(error).__name__}"
        yield Gap(position=position, code=RejectCode.ARCHIVE_UNREADABLE, detail=detail)


def _first_start(stream: BinaryIO, start: int, stop: int | None) -> int | None:
    """Offset of the first record that starts in `start..stop`, None if there is none."""
    first = stream.read(HEAD_BYTES)
    if is_unpackable(first):
        return None
    is_gzip = first.startswith(GZIP_MAGIC)
    is_warc = begins_member(first, (WARC_START,)) if is_gzip else first.startswith(WARC_START)
    stream.seek(start - 1)  # the byte before tells whether a line begins at `start`
    window, base = b"", start - 1
    ended = False
    while not ended:
        piece = stream.read(STEP_BYTES)
        ended = not piece
        window += piece
        found, searched = (_member_in if is_gzip else _head_in)(window, ended, is_warc)
        if found is not None:
            return base + found if stop is None or base + found < stop else None
        if stop is not None and base + searched >= stop:
            return None
        keep = max(searched - 1, 0)
        window, base = window[keep:], base + keep
    return None


def _member_in(window: bytes, ended: bool, is_warc: bool) -> tuple[int | None, int]:
    """Place of the first gzip member that begins like a record, from 1 on; and how far the window was searched."""
    starts = starts_of(False if is_warc else None)
    at = window.find(GZIP_MAGIC, 1)
    while at >= 0:
        if not ended and len(window) - at < HEAD_BYTES:
            return None, at
        if begins_member(window[at : at + HEAD_BYTES], starts):
            return at, at
        at = window.find(GZIP_MAGIC, at + 1)
    return None, max(len(window) - len(GZIP_MAGIC) + 1, 1)


def _head_in(window: bytes, ended: bool, is_warc: bool) -> tuple[int | None, int]:
    """The same for the head of a WARC or ARC record."""
    patterns = (RECORD_START,) if is_warc else (RECORD_START, ARC_LINE)
    places = [found.start() for pattern in patterns if (found := pattern.search(window, 1))]
    limit = len(window) if ended else max(len(window) - HEAD_BYTES, 1)
    at = min(places, default=None)
    return (at, at) if at is not None and at < limit else (None, limit)
