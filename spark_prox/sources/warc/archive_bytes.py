"""The bytes of an archive file, decompressed, with a place for each: plain, gzip per record, or one gzip for all.

Of bzip2, xz and Zstandard files (see `unpacking`) the places are those of the content.

Keeps a window of decompressed bytes that grows only as far as a reader asks (`fill`), so that a file of any size
passes in flat memory. A broken gzip member ends the stream with a `Fault`; `recover` goes on at the next member that
starts like an archive record. Knows nothing of records beyond how one starts.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.unpacking import PackedError

__all__ = ["GZIP_MAGIC", "ArchiveBytes", "Fault", "begins_member"]

GZIP_MAGIC = b"\x1f\x8b\x08"
LINE_END = 10
FEED_BYTES = 1 << 16
LOOK_BYTES = 1 << 13
INFLATE_BYTES = 1 << 20
KEPT_BYTES = 1 << 20  # compressed bytes of the current member that `recover` searches again


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why no further byte can be had.

    Attributes:
        code: ARCHIVE_TRUNCATED or ARCHIVE_CORRUPT.
        detail: what is wrong, without any content.
        member: offset in the file of the gzip member that broke.
    """

    code: RejectCode
    detail: str
    member: int


class ArchiveBytes:
    """A forward-only window over the decompressed bytes of one archive file.

    `offset` counts decompressed bytes. `window[:n]` may be read after `fill(n)`; `advance(n)` drops bytes.
    """

    def __init__(self, raw: BinaryIO, *, start: int = 0) -> None:
        """Args: `raw`, at a record of the file; `start`, the offset in the file where that is."""
        self.offset = start
        self.window = bytearray()
        self.fault: Fault | None = None
        self._previous = LINE_END
        self._file = raw
        self._raw = bytearray()
        self._raw_start = start  # file offset of _raw[0]
        self._fed = 0  # bytes of _raw already given to zlib
        self._inflater: zlib._Decompress | None = None
        self._member_start = 0
        self._pump()
        self._ended = self._file_ended
        self.gzipped = bytes(self._raw[:2]) in (GZIP_MAGIC[:1], GZIP_MAGIC[:2])
        self._marks: deque[tuple[int, int]] = deque()  # (decompressed offset, file offset) where a member starts
        self._mark_offsets: set[int] = set()
        self._last_mark = (start, start)
        if self.gzipped:
            self._open_member()
        elif not self._raw.startswith(b"WARC/") and _hidden_member(bytes(self._raw)):
            self.gzipped = True
            self._break(RejectCode.ARCHIVE_CORRUPT, "the file does not start with a gzip member")

    @property
    def is_over(self) -> bool:
        """True if there is nothing left, and nothing to recover."""
        return self._ended and not self.window and self.fault is None

    @property
    def position(self) -> int:
        """The place of the window's first byte: the file offset of the gzip member that starts with it, if one does;
        else the offset in the decompressed bytes, which in a plain file is the offset in the file."""
        self._pass_marks()
        decompressed, in_file = self._last_mark
        return in_file if decompressed == self.offset else self.offset

    @property
    def member(self) -> int:
        """File offset of the gzip member that holds the first byte of the window; 0 in a plain file."""
        self._pass_marks()
        return self._last_mark[1]

    @property
    def after_line_end(self) -> bool:
        """Whether the byte before the window ends a line, or the window is where reading began."""
        return self._previous == LINE_END

    @property
    def stored_at(self) -> int:
        """File offset of what holds the first byte of the window: its gzip member, or in a plain file the byte."""
        return self.member if self.gzipped else self.offset

    def fill(self, wanted: int) -> int:
        """Make `wanted` bytes readable if the file has them; returns how many there are."""
        while len(self.window) < wanted and not self._ended and self.fault is None:
            if self.gzipped:
                self._inflate()
            else:
                self._pump()
                self.window += self._raw[self._fed :]
                self._fed = len(self._raw)
                self._ended = self._file_ended
                self._drop_raw(self._fed)
        return len(self.window)

    def advance(self, count: int) -> None:
        """Drop the first `count` bytes of the window."""
        if count:
            self._previous = self.window[count - 1]
        del self.window[:count]
        self.offset += count

    def member_starts(self, before: int) -> Iterator[int]:
        """Window positions over 0 and below `before` at which a gzip member starts, in order."""
        self._pass_marks()
        for at, _ in self._marks:
            if at - self.offset >= before:
                return
            if at > self.offset:
                yield at - self.offset

    def starts_member(self, at: int) -> bool:
        """True if a gzip member starts at a window position."""
        return self.offset + at in self._mark_offsets

    def give_up(self, detail: str) -> None:
        """Drop what is left of the current gzip member, or of a file that has none."""
        self.advance(len(self.window))
        self._break(RejectCode.ARCHIVE_CORRUPT, detail)

    def recover(self, starts: tuple[bytes, ...]) -> int | None:
        """After a fault: go to the next gzip member whose content begins with one of `starts`.

        Returns:
            Compressed bytes between the start of the broken member and the new one; None if there is no such member.
        """
        if self.fault is None:
            return None
        broken = self.fault.member
        self.advance(len(self.window))
        search = max(broken + 1 - self._raw_start, 0)
        while True:
            found = self._raw.find(GZIP_MAGIC, search)
            if 0 <= found <= len(self._raw) - FEED_BYTES or (found >= 0 and self._file_ended):
                if begins_member(bytes(self._raw[found : found + LOOK_BYTES]), starts):
                    self._drop_raw(found)
                    self._fed = 0
                    self.fault = None
                    self._ended = False
                    self._open_member()
                    return self._raw_start - broken
                search = found + 1
                continue
            if self._file_ended:
                self._ended = True
                self.fault = None
                return None
            self._drop_raw(found if found >= 0 else max(len(self._raw) - len(GZIP_MAGIC), 0))
            search = 0
            self._pump(2 * FEED_BYTES)

    def _pass_marks(self) -> None:
        while self._marks and self._marks[0][0] <= self.offset:
            self._last_mark = self._marks.popleft()
            self._mark_offsets.discard(self._last_mark[0])

    def _pump(self, count: int = FEED_BYTES) -> None:
        try:
            data = self._file.read(count)
        except PackedError as error:
            data = b""
            code = RejectCode.ARCHIVE_TRUNCATED if error.ends_early else RejectCode.ARCHIVE_CORRUPT
            self._break(code, error.detail)
        self._file_ended = not data
        self._raw += data

    def _drop_raw(self, count: int) -> None:
        del self._raw[:count]
        self._raw_start += count
        self._fed = max(self._fed - count, 0)

    def _open_member(self) -> None:
        self._drop_raw(self._fed)
        self._fed = 0
        self._inflater = zlib.decompressobj(31)
        self._marks.append((self.offset + len(self.window), self._raw_start))
        self._mark_offsets.add(self.offset + len(self.window))
        self._member_start = self._raw_start

    def _inflate(self) -> None:
        """One step: feed the inflater, or find the next member."""
        if self._fed >= len(self._raw) and not self._file_ended:
            if self._fed > 2 * KEPT_BYTES:
                self._drop_raw(self._fed - KEPT_BYTES)
            self._pump()
        if self._inflater is None:
            self._next_member()
            return
        feed = bytes(self._raw[self._fed : self._fed + FEED_BYTES])
        if not feed:
            self._break(RejectCode.ARCHIVE_TRUNCATED, "the file ends inside a gzip member")
            return
        first = self._fed == 0
        saved = None if first else self._inflater.copy()
        try:
            data = self._inflater.decompress(feed, INFLATE_BYTES)
        except zlib.error as error:
            inflater = zlib.decompressobj(31) if saved is None else saved
            self.window += _salvage(inflater, feed)
            self._break(RejectCode.ARCHIVE_CORRUPT, f"broken gzip member ({_reason(error)})")
            return
        self.window += data
        left = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        self._fed += len(feed) - len(left)
        if self._inflater.eof:
            self._inflater = None
            self._drop_raw(self._fed)
            self._fed = 0

    def _next_member(self) -> None:
        """Between members: zero padding is skipped, anything else but a gzip member is a fault."""
        padding = len(self._raw) - len(self._raw.lstrip(b"\0"))
        if padding:
            self._drop_raw(padding)
        if len(self._raw) < len(GZIP_MAGIC) and not self._file_ended:
            self._pump()
            return
        if not self._raw:
            self._ended = self._file_ended
        elif self._raw.startswith(GZIP_MAGIC[: len(self._raw)]):
            self._open_member()
        else:
            self._member_start = self._raw_start
            self._break(RejectCode.ARCHIVE_CORRUPT, "bytes after a gzip member are no gzip member")

    def _break(self, code: RejectCode, detail: str) -> None:
        self._inflater = None
        self.fault = Fault(code=code, detail=detail, member=self._member_start)


def begins_member(compressed: bytes, starts: tuple[bytes, ...]) -> bool:
    """Whether bytes are the beginning of a gzip member whose content begins with one of `starts`."""
    try:
        return zlib.decompressobj(31).decompress(compressed, 64).startswith(starts)
    except zlib.error:
        return False


def _salvage(inflater: zlib._Decompress, feed: bytes) -> bytes:
    """The output of `feed` before its error, to the byte."""
    saved = bytearray()
    step = 256
    at = 0
    while at < len(feed) and not inflater.eof:
        before = inflater.copy()
        try:
            saved += inflater.decompress(feed[at : at + step])
            at += step
        except zlib.error:
            if step == 1:
                break
            inflater, step = before, 1
    return bytes(saved)


def _hidden_member(start: bytes) -> bool:
    """True if a file that does not start like one is a gzip whose first member is damaged."""
    found = start.find(GZIP_MAGIC)
    while found >= 0:
        if begins_member(start[found:], (b"WARC/", b"filedesc:")):
            return True
        found = start.find(GZIP_MAGIC, found + 1)
    return False


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2] or "invalid data"
