"""An HTTP response as an archive stores it: status, headers, and the payload without its transfer and content
codings.

Archives lie about codings: many writers store a decoded body beside the header that says it is coded, so a coding is
taken off only where the body looks coded. Every step stops at a byte limit, which makes decompression bombs
harmless. Knows nothing of WARC.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from spark_prox.errors import RejectCode
from spark_prox.sources.unpacking import PackedError, is_unpackable, unpack_zstd

__all__ = ["HttpResponse", "PayloadError", "parse_response", "read_payload"]

HEAD_END = re.compile(rb"\r?\n\r?\n")
STATUS_LINE = re.compile(rb"(?:HTTP|ICY|SHOUTCAST)(?:/\d(?:\.\d)?)?[ \t]+(\d{3})(?:\D|$)", re.IGNORECASE)
# As servers write it: padded with blanks or zeros, with a prefix, with extensions, with more line ends than one.
CHUNK_SIZE = re.compile(rb"[ \t]*(?:0[xX])?0{0,64}([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]{0,4096})?\r{0,2}\n")
CHUNK_END = re.compile(rb"[ \t]*\r{0,2}\n?")
MAX_CHUNKS = 1 << 20
MAX_HEAD_BYTES = 1 << 20
MAX_CODINGS = 4
MAX_HEADS = 4
TRANSFER_CODINGS = ("gzip", "x-gzip", "deflate")
LISTS = ("content-encoding", "transfer-encoding")
STEP_BYTES = 1 << 20
GZIP_BITS = 31
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that RFC 9659 allows a server
LOOK_BYTES = 1024
MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[A-Za-z!?/]")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class PayloadError(Exception):
    """A payload that cannot be had: a code and a detail without content. Never leaves this package."""

    def __init__(self, code: RejectCode, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """Status, headers and the body as stored.

    Names of headers are in lower case; of a repeated one the first counts, but codings are one list (RFC 9110, 5.3).
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_response(block: bytes) -> HttpResponse | None:
    """Split a stored response into head and body; None if it does not start with a status line.

    Heads that only announce another one are passed over: `100 Continue`, a proxy's `200 Connection established`.
    """
    found = None
    for _ in range(MAX_HEADS):
        line = STATUS_LINE.match(block)
        if line is None:
            break
        end = HEAD_END.search(block, 0, MAX_HEAD_BYTES)
        head, block = (block[: end.start()], block[end.end() :]) if end else (block[:MAX_HEAD_BYTES], b"")
        found = HttpResponse(status=int(line[1]), headers=_headers(head), body=block)
        if found.headers and found.status >= 200:
            break
    return found


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw in head.split(b"\n")[1:]:
        key, colon, value = raw.decode("latin-1").partition(":")
        name, value = key.strip().lower(), value.strip()
        if colon and name in LISTS and name in headers:
            headers[name] += f", {value}"
        elif colon:
            headers.setdefault(name, value)
    return headers


def read_payload(response: HttpResponse, *, max_bytes: int, is_clipped: bool) -> bytes:
    """The body without its codings.

    Args:
        response: from `parse_response`.
        max_bytes: most bytes of the result.
        is_clipped: the crawler stored only the beginning (WARC-Truncated), so a coding may end early.

    Raises:
        PayloadError: RECORD_UNREADABLE or RECORD_TOO_LARGE.
    """
    body = response.body
    transfer = response.headers.get("transfer-encoding", "").lower()
    codings = _listed(response.headers.get("content-encoding", "").lower())
    if len(codings) > MAX_CODINGS:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, f"{len(codings)} content codings")
    codings += [coding for coding in _listed(transfer)[:MAX_CODINGS] if coding in TRANSFER_CODINGS]
    codings += ["chunked"] if "chunked" in transfer else []  # the outermost one, however often servers say so
    for coding in reversed(codings):
        body = _dechunk(body, is_clipped) if coding == "chunked" else _decode(body, coding, max_bytes, is_clipped)
    if len(body) > max_bytes:
        raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"payload of {len(body)} bytes, at most {max_bytes} are read")
    return body


def _listed(value: str) -> list[str]:
    return [name for each in value.split(",") if (name := each.strip())]


def _dechunk(body: bytes, is_clipped: bool) -> bytes:
    """Join the chunks; a body that does not start with a chunk size is not chunked."""
    size = CHUNK_SIZE.match(body)
    if size is None:
        return body
    out = bytearray()
    at = count = 0
    while size is not None:
        begin = size.end()
        length = int(size[1], 16)
        if length == 0:
            return bytes(out)
        out += memoryview(body)[begin : begin + length]
        at = begin + length
        if at >= len(body):
            break
        end = CHUNK_END.match(body, at)
        at = end.end() if end else at
        size = CHUNK_SIZE.match(body, at)
        count += 1
        if count > MAX_CHUNKS:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, f"the body has more than {MAX_CHUNKS} chunks")
    if at < len(body):
        raise PayloadError(RejectCode.RECORD_UNREADABLE, f"bad chunk size {at} bytes into the body")
    if at > len(body) and not is_clipped:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "the last chunk ends early")
    return bytes(out)


def _decode(body: bytes, coding: str, max_bytes: int, is_clipped: bool) -> bytes:
    if not body or coding in ("identity", "none", "utf-8"):
        return body
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, GZIP_BITS, max_bytes, is_clipped) if body.startswith(GZIP_MAGIC) else body
    if _is_plain(body):  # of a crawler that stored it decoded
        return body
    if coding == "deflate":
        return _undeflate(body, max_bytes, is_clipped)
    if coding == "br":
        return _unbrotli(body, max_bytes, is_clipped)
    if coding == "zstd":
        return _unzstd(body, max_bytes, is_clipped)
    raise PayloadError(RejectCode.RECORD_UNREADABLE, "content coding that is not gzip, deflate, br or zstd")


def _inflate(body: bytes, window_bits: int, max_bytes: int, is_clipped: bool) -> bytes:
    """Every member of a gzip body (RFC 1952, 2.2); what follows the last one is no part of it."""
    out = bytearray()
    feed = body
    while True:
        inflater = zlib.decompressobj(window_bits)
        try:
            while feed and not inflater.eof:
                out += inflater.decompress(feed, STEP_BYTES)
                feed = inflater.unconsumed_tail
                _check_size(out, max_bytes)
        except zlib.error as error:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, "broken gzip or deflate coding") from error
        if not inflater.eof and not is_clipped:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, "the gzip or deflate coding ends early")
        feed = inflater.unused_data
        if window_bits != GZIP_BITS or not feed.startswith(GZIP_MAGIC):
            return bytes(out)


def _undeflate(body: bytes, max_bytes: int, is_clipped: bool) -> bytes:
    """zlib's wrapping or none: servers send both. A body that is neither is not coded."""
    for window_bits in (15, -15):
        try:
            return _inflate(body, window_bits, max_bytes, is_clipped)
        except PayloadError as error:
            if error.code is RejectCode.RECORD_TOO_LARGE:
                raise
    raise PayloadError(RejectCode.RECORD_UNREADABLE, "broken content coding deflate")


def _unbrotli(body: bytes, max_bytes: int, is_clipped: bool) -> bytes:
    try:
        import brotli  # type: ignore[import-untyped]
    except ImportError:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "br: the package brotli is not installed") from None
    decoder = brotli.Decompressor()
    out = bytearray()
    feed = body
    try:
        while not decoder.is_finished():
            data = decoder.process(feed, output_buffer_limit=STEP_BYTES)
            out += data
            _check_size(out, max_bytes)
            feed = b""
            if not data and decoder.can_accept_more_data():
                break
    except brotli.error:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "broken content coding br") from None
    if not decoder.is_finished() and not is_clipped:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "the br coding ends early")
    return bytes(out)


def _unzstd(body: bytes, max_bytes: int, is_clipped: bool) -> bytes:
    if not is_unpackable(body):
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "broken content coding zstd")
    out = bytearray()
    try:
        for piece in unpack_zstd(body, window_log=ZSTD_WINDOW_LOG):
            out += piece
            _check_size(out, max_bytes)
    except PackedError as error:
        if not (is_clipped and error.ends_early):
            raise PayloadError(RejectCode.RECORD_UNREADABLE, error.detail) from None
    return bytes(out)


def _check_size(out: bytearray, max_bytes: int) -> None:
    if len(out) > max_bytes:
        raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"the payload decompresses to more than {max_bytes} bytes")


def _is_plain(body: bytes) -> bool:
    """True if a body that says it is coded is text as it stands."""
    start = body[:LOOK_BYTES]
    if CONTROL.search(start):
        return False
    if MARKUP.match(start):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True
