"""Opens bzip2, xz and Zstandard streams by their first bytes, whatever the file is called.

Zstandard in all its forms: several frames, skippable frames, windows of up to 2 GiB (`zstd --long=31`), and the
dictionary that a `.warc.zst` file carries in its first frame (IIPC's WARC-Zstandard 1.0). Gzip is left as it is:
`ArchiveBytes` reads it member by member. Knows nothing of what is inside.
"""

from __future__ import annotations

import bz2
import lzma
import sys
from typing import Any, BinaryIO, Protocol, cast

__all__ = ["PackedError", "is_decompressing", "is_packed", "is_unpackable", "unpack_zstd", "unpacked"]

START_BYTES = 8
GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
DICTIONARY_MAGIC = b"\x37\xa4\x30\xec"
MAX_DICTIONARY_BYTES = 32 << 20
MAX_WINDOW_LOG = 31
STEP_BYTES = 1 << 20
FREE_BYTES, MAX_RATIO = 256 << 20, 1100
"""A stream may unpack to so many bytes, and beyond them to so many for each byte: what gzip can do at most."""


class PackedError(Exception):
    """A packed stream that breaks: `ends_early`, or else damaged. Never leaves this package."""

    def __init__(self, detail: str, *, ends_early: bool) -> None:
        self.detail = detail
        self.ends_early = ends_early
        super().__init__(detail)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Decompressing(Protocol):
    def read1(self, size: int = -1, /) -> bytes: ...


def is_unpackable(start: bytes) -> bool:
    """True if a file that starts so is bzip2, xz or Zstandard."""
    bzip2 = start.startswith(BZIP2_MAGIC) and start[3:4].isdigit()
    return bzip2 or start.startswith((XZ_MAGIC, ZSTD_MAGIC, *SKIPPABLE))


def is_packed(start: bytes) -> bool:
    """The same, and gzip: offsets in such a file are not offsets of its content."""
    return start.startswith(GZIP_MAGIC) or is_unpackable(start)


def unpacked(stream: BinaryIO) -> BinaryIO:
    """The content of a file: itself, unless it is bzip2, xz or Zstandard.

    Args:
        stream: at the start of the file.

    Returns:
        Something to `read` from; its reads raise PackedError where the stream breaks.
    """
    start = stream.read(START_BYTES)
    whole = _Prefixed(start, stream)
    if not is_unpackable(start):
        return cast(BinaryIO, whole)
    if start.startswith(BZIP2_MAGIC):
        return cast(BinaryIO, _Checked("bzip2", bz2.BZ2File(cast(BinaryIO, whole)), whole))
    if start.startswith(XZ_MAGIC):
        return cast(BinaryIO, _Checked("xz", lzma.LZMAFile(cast(BinaryIO, whole)), whole))
    return cast(BinaryIO, _Checked("zstd", *_zstd_file(start, stream)))


def is_decompressing(stream: BinaryIO) -> bool:
    """True if a stream from `unpacked` gives other bytes than the file has."""
    return isinstance(stream, _Checked)


def unpack_zstd(data: bytes, *, window_log: int) -> Any:
    """Yield the content of Zstandard frames in pieces of at most a mebibyte.

    Raises:
        PackedError: the frames are damaged or end early.
    """
    zstd = _zstd()
    while data:
        decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})
        try:
            while not decoder.eof:
                piece = decoder.decompress(data, STEP_BYTES)
                data = b""
                if not piece and decoder.needs_input:
                    raise PackedError("the zstd stream ends early", ends_early=True)
                yield piece
        except zstd.ZstdError:
            raise PackedError("broken zstd stream", ends_early=False) from None
        data = decoder.unused_data


class _Prefixed:
    """A stream of which some bytes were read already."""

    def __init__(self, prefix: bytes, rest: _Readable) -> None:
        self._prefix = prefix
        self._rest = rest
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        taken, self._prefix = (self._prefix, b"") if size < 0 else (self._prefix[:size], self._prefix[size:])
        if size < 0 or size > len(taken):
            taken += self._rest.read(size - len(taken) if size >= 0 else -1)
        self.count += len(taken)
        return taken


class _Checked:
    """A decompressing stream whose errors are PackedError."""

    def __init__(self, kind: str, stream: _Decompressing, source: _Prefixed) -> None:
        self._kind = kind
        self._stream = stream
        self._source = source
        self._count = 0

    def read(self, size: int = -1, /) -> bytes:
        if self._count > FREE_BYTES + MAX_RATIO * self._source.count:
            raise PackedError(f"the {self._kind} stream unpacks to more than {MAX_RATIO} times", ends_early=False)
        try:
            data = self._stream.read1(size)  # `read` would lose what it has when it comes to the break
        except EOFError:
            raise PackedError(f"the {self._kind} stream ends early", ends_early=True) from None
        except (OSError, lzma.LZMAError, _zstd_error()) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the file, not of its content
            raise PackedError(f"broken {self._kind} stream", ends_early=False) from None
        self._count += len(data)
        return data


def _zstd_file(start: bytes, stream: BinaryIO) -> tuple[_Decompressing, _Prefixed]:
    zstd = _zstd()
    dictionary = None
    source = _Prefixed(start, stream)
    if start.startswith(DICTIONARY_FRAME):
        size = int.from_bytes(start[4:8], "little")
        if size > MAX_DICTIONARY_BYTES:
            raise PackedError(f"a zstd dictionary of {size} bytes", ends_early=False)
        content = stream.read(size)
        if content.startswith(ZSTD_MAGIC):
            content = b"".join(_limited(unpack_zstd(content, window_log=MAX_WINDOW_LOG)))
        if content:
            dictionary = zstd.ZstdDict(content, is_raw=not content.startswith(DICTIONARY_MAGIC))
        source = _Prefixed(b"", stream)
    options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    return cast(_Decompressing, zstd.ZstdFile(source, options=options, zstd_dict=dictionary)), source


def _limited(pieces: Any) -> Any:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > MAX_DICTIONARY_BYTES:
            raise PackedError("a zstd dictionary that unpacks to too much", ends_early=False)
        yield piece


def _zstd() -> Any:
    """The standard library's module, or its backport before Python 3.14."""
    from importlib import import_module

    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _zstd_error() -> type[Exception]:
    return cast("type[Exception]", _zstd().ZstdError)
