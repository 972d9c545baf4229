"""Finds the next record in the bytes of an archive, whatever lies before it.

A record starts at a gzip member or at a line that looks like the head of one. Knows nothing of blocks.
"""

from __future__ import annotations

import re

from spark_prox.sources.warc.archive_bytes import ArchiveBytes
from spark_prox.sources.warc.record_heads import ARC_LINE, RECORD_START

__all__ = ["WARC_START", "begins_range", "next_start", "seek_start", "skip_blank", "starts_of"]

WARC_START = b"WARC/"
ARC_STARTS = (b"filedesc:", b"http://", b"https://", b"ftp://", b"dns:")
BLANK = re.compile(rb"[\r\n \t\0]*")
MAX_BLANK_BYTES = 16 << 20
SEARCH_BYTES = 1 << 16
MEMBER_LOOK = 64  # decompressed bytes by which a gzip member is recognised
HEAD_BYTES = 1 << 12  # a record start is recognised if this much of it is in the window


def starts_of(is_arc: bool | None) -> tuple[bytes, ...]:
    """The possible first bytes of a record in a WARC file, an ARC file, or one not known yet (None)."""
    if is_arc is None:
        return (WARC_START, *ARC_STARTS)
    return ARC_STARTS if is_arc else (WARC_START,)


def skip_blank(data: ArchiveBytes) -> bool:
    """Advance over line ends, blanks and NULs between records; False where there are too many to be padding."""
    passed = 0
    while data.fill(1):
        found = BLANK.match(data.window)
        blank = found.end() if found else 0
        if not blank:
            return True
        data.advance(blank)
        passed += blank
        if passed > MAX_BLANK_BYTES:
            return False
    return True


def next_start(data: ArchiveBytes, begin: int, end: int, is_arc: bool) -> int | None:
    """Window position of the first record start in `begin..end`, None if there is none."""
    starts = starts_of(is_arc)
    members = data.member_starts(end)
    first = next((at for at in members if at >= begin and data.window.startswith(starts, at)), None)
    places = [] if first is None else [first]
    end = end if first is None else first
    found = (ARC_LINE if is_arc else RECORD_START).search(data.window, begin, min(end + HEAD_BYTES, len(data.window)))
    if found and found.start() < end:
        places.append(found.start())
    return min(places, default=None)


def begins_range(data: ArchiveBytes, is_arc: bool | None) -> bool:
    """Whether whoever reads the file from here on finds the record at the window's start: the rule of `file_frames`."""
    have = data.fill(HEAD_BYTES)
    if data.gzipped:
        at_member = data.member == data.position
        return at_member and (have >= MEMBER_LOOK or data.fault is None) and data.window.startswith(starts_of(is_arc))
    patterns = (RECORD_START, ARC_LINE) if is_arc is None else (ARC_LINE,) if is_arc else (RECORD_START,)
    return data.after_line_end and any(pattern.match(data.window) for pattern in patterns)


def seek_start(data: ArchiveBytes, is_arc: bool) -> tuple[bool, int]:
    """Advance to the next record start, or to the end; returns whether there is one, and the bytes passed over."""
    passed = 0
    while True:
        have = data.fill(SEARCH_BYTES)
        at = next_start(data, 0, have, is_arc)
        step = at if at is not None else have if have < SEARCH_BYTES else have - HEAD_BYTES
        data.advance(step)
        passed += step
        if at is not None or have < SEARCH_BYTES:
            return at is not None, passed
