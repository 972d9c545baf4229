"""An HTTP response as an archive stores it: status, headers, and the payload without its transfer and content
codings.

Archives lie about codings: many writers store a decoded body beside the header that says it is coded, so a coding is
taken off only where the body looks coded. Every step stops at a byte limit, which makes decompression bombs
harmless. Knows nothing of WARC.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from spark_prox.errors import RejectCode

__all__ = ["HttpResponse", "PayloadError", "parse_response", "read_payload"]

HEAD_END = re.compile(rb"\r?\n\r?\n")
STATUS_LINE = re.compile(rb"(?:HTTP|ICY|SHOUTCAST)(?:/\d(?:\.\d)?)?[ \t]+(\d{3})(?:\D|$)", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
MAX_HEAD_BYTES = 1 << 20
MAX_CODINGS = 4
STEP_BYTES = 1 << 20
HTML_OR_TEXT = re.compile(rb"\s*[<\w\xef\xbb\xbf]")


class PayloadError(Exception):
    """A payload that cannot be had: a code and a detail without content. Never leaves this package."""

    def __init__(self, code: RejectCode, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """Status, headers (names in lower case, of a repeated one the first) and the body as stored."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_response(block: bytes) -> HttpResponse | None:
    """Split a stored response into head and body; None if it does not start with a status line."""
    line = STATUS_LINE.match(block)
    if line is None:
        return None
    end = HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block[:MAX_HEAD_BYTES], b"")
    headers: dict[str, str] = {}
    for raw in head.split(b"\n")[1:]:
        key, colon, value = raw.decode("latin-1").partition(":")
        if colon:
            headers.setdefault(key.strip().lower(), value.strip())
    return HttpResponse(status=int(line[1]), headers=headers, body=body)


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
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = _dechunk(body, is_clipped)
    codings = [c.strip().lower() for c in response.headers.get("content-encoding", "").split(",") if c.strip()]
    if len(codings) > MAX_CODINGS:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, f"{len(codings)} content codings")
    for coding in reversed(codings):
        body = _decode(body, coding, max_bytes, is_clipped)
    if len(body) > max_bytes:
        raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"payload of {len(body)} bytes, at most {max_bytes} are read")
    return body


def _dechunk(body: bytes, is_clipped: bool) -> bytes:
    """Join the chunks; a body that does not start with a chunk size is not chunked."""
    size = CHUNK_SIZE.match(body)
    if size is None:
        return body
    parts: list[bytes] = []
    at = 0
    while size is not None:
        begin = size.end()
        length = int(size[1], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(body[begin : begin + length])
        at = begin + length
        if at >= len(body):
            break
        at += 2 if body[at : at + 2] == b"\r\n" else 1 if body[at : at + 1] == b"\n" else 0
        size = CHUNK_SIZE.match(body, at)
    if at < len(body):
        raise PayloadError(RejectCode.RECORD_UNREADABLE, f"bad chunk size {at} bytes into the body")
    if at > len(body) and not is_clipped:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "the last chunk ends early")
    return b"".join(parts)


def _decode(body: bytes, coding: str, max_bytes: int, is_clipped: bool) -> bytes:
    if not body or coding in ("identity", "none", "utf-8"):
        return body
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 31, max_bytes, is_clipped) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":
        return _undeflate(body, max_bytes, is_clipped)
    if coding == "br":
        return _unbrotli(body, max_bytes, is_clipped)
    if HTML_OR_TEXT.match(body) and b"\0" not in body[:1024]:
        return body
    raise PayloadError(RejectCode.RECORD_UNREADABLE, "content coding that is not gzip, deflate or br")


def _inflate(body: bytes, window_bits: int, max_bytes: int, is_clipped: bool) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    out = bytearray()
    feed = body
    try:
        while feed and not inflater.eof:
            out += inflater.decompress(feed, STEP_BYTES)
            feed = inflater.unconsumed_tail
            _check_size(out, max_bytes)
    except zlib.error as error:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "broken gzip or deflate coding") from error
    if not inflater.eof and not is_clipped:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "the gzip or deflate coding ends early")
    return bytes(out)


def _undeflate(body: bytes, max_bytes: int, is_clipped: bool) -> bytes:
    """zlib's wrapping or none: servers send both. A body that is neither is not coded."""
    for window_bits in (15, -15):
        try:
            return _inflate(body, window_bits, max_bytes, is_clipped)
        except PayloadError as error:
            if error.code is RejectCode.RECORD_TOO_LARGE:
                raise
    return _plain_or_broken(body, "deflate")


def _unbrotli(body: bytes, max_bytes: int, is_clipped: bool) -> bytes:
    try:
        import brotli  # type: ignore[import-untyped]
    except ImportError:
        return _plain_or_broken(body, "br (the package brotli is not installed)")
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
        return _plain_or_broken(body, "br")
    if not decoder.is_finished() and not is_clipped:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "the br coding ends early")
    return bytes(out)


def _check_size(out: bytearray, max_bytes: int) -> None:
    if len(out) > max_bytes:
        raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"the payload decompresses to more than {max_bytes} bytes")


def _plain_or_broken(body: bytes, coding: str) -> bytes:
    if HTML_OR_TEXT.match(body) and b"\0" not in body[:1024] and body[:512].isascii():
        return body
    raise PayloadError(RejectCode.RECORD_UNREADABLE, f"broken content coding {coding}")
