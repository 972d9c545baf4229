"""HTTP responses as archives store them: codings taken off, lies seen through, limits kept."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import brotli
import pytest

from spark_prox.errors import RejectCode
from spark_prox.sources.unpacking import _zstd
from spark_prox.sources.warc import http_message
from spark_prox.sources.warc.http_message import PayloadError, parse_response, read_payload
from tests.unit.sources.archive_builder import http

BODY = b"<html>" + b"a long page. " * 500 + b"</html>"
MIB = 1 << 20
zstd = _zstd()


def payload(block: bytes, *, max_bytes: int = MIB, is_clipped: bool = False) -> bytes:
    response = parse_response(block)
    assert response is not None
    return read_payload(response, max_bytes=max_bytes, is_clipped=is_clipped)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def chunked(data: bytes, size: int = 1000) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n" % len(part) + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("br", brotli.compress(BODY)),
        ("identity", BODY),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY), mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("utf-8", BODY),
        ("gzip", BODY),
        ("deflate", BODY),
        ("br", BODY),
        ("zstd", BODY),
        ("zstd", zstd.compress(BODY)),
        ("zstd", zstd.compress(BODY[:100]) + zstd.compress(BODY[100:])),
        ("gzip", gzip.compress(BODY[:100], mtime=0) + gzip.compress(BODY[100:], mtime=0)),
        ("gzip", gzip.compress(BODY, mtime=0) + b"\0\0\0 padding"),
    ],
)
def test_a_coded_body_is_decoded_and_one_that_only_says_so_is_left(coding: str, body: bytes) -> None:
    assert payload(http(body, f"Content-Encoding: {coding}")) == BODY


def test_chunks_are_joined_and_may_hold_a_coded_body() -> None:
    assert payload(http(chunked(BODY), "Transfer-Encoding: chunked")) == BODY
    coded = chunked(gzip.compress(BODY, mtime=0), 100)
    assert payload(http(coded, "transfer-encoding: Chunked", "Content-Encoding: gzip")) == BODY


def test_codings_of_two_headers_and_of_the_transfer_are_taken_off_in_turn() -> None:
    twice = gzip.compress(gzip.compress(BODY, mtime=0), mtime=0)
    assert payload(http(twice, "Content-Encoding: gzip", "Content-Encoding: gzip")) == BODY
    packed = chunked(gzip.compress(BODY, mtime=0), 100)
    assert payload(http(packed, "Transfer-Encoding: gzip, chunked")) == BODY
    assert payload(http(chunked(BODY), "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")) == BODY
    assert payload(http(BODY, "Transfer-Encoding: identity, 8bit")) == BODY


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 200 Connection established\r\n\r\n", b"HTTP/1.1 103\n\n"]
)
def test_a_head_that_announces_another_one_is_passed_over(before: bytes) -> None:
    found = parse_response(before + http(BODY, "Content-Type: text/html"))
    assert found is not None
    assert (found.status, found.headers["content-type"], found.body) == (200, "text/html", BODY)
    endless = parse_response(before * 100 + b"HTTP/1.1 200 OK")
    assert endless is not None
    assert endless.body.startswith(before)


def test_a_body_that_was_stored_without_its_chunks_is_left() -> None:
    assert payload(http(BODY, "Transfer-Encoding: chunked")) == BODY


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\nnot a size\r\n"),
        (["Transfer-Encoding: chunked"], b"50\r\nhello"),
        (["Content-Encoding: gzip"], gzip.compress(BODY, mtime=0)[:-40]),
        (["Content-Encoding: gzip"], gzip.compress(BODY, mtime=0)[:20] + b"\xff" * 80),
        (["Content-Encoding: br"], brotli.compress(BODY)[:-5]),
        (["Content-Encoding: br"], b"\xff\xff\x00\x01\x02"),
        (["Content-Encoding: deflate"], b"\x01\x02\x03"),
        (["Content-Encoding: zstd"], b"\x28\xb5\x2f\xfd\x00\x00"),
        (["Content-Encoding: gzip, gzip, gzip, gzip, gzip"], BODY),
    ],
)
def test_a_broken_coding_is_unreadable(headers: list[str], body: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        payload(http(body, *headers))
    assert caught.value.code is RejectCode.RECORD_UNREADABLE


def test_what_the_crawler_clipped_may_end_early() -> None:
    clipped = payload(http(gzip.compress(BODY, mtime=0)[:-10], "Content-Encoding: gzip"), is_clipped=True)
    assert BODY.startswith(clipped)
    assert payload(http(b"50\r\nhello", "Transfer-Encoding: chunked"), is_clipped=True) == b"hello"


@pytest.mark.parametrize("coding", ["br", "gzip", "deflate", "zstd", "compress"])
@pytest.mark.parametrize("body", ["<p>Съешь ещё".encode(), "Съешь ещё этих булок".encode(), "<p>поле".encode("cp1251")])
def test_a_plain_body_beside_a_stale_header_is_left(coding: str, body: bytes) -> None:
    assert payload(http(body, f"Content-Encoding: {coding}")) == body


@pytest.mark.parametrize(
    "size", [b"5", b"5  ", b"00000000000005", b"0x5", b" 5", b"5;name=value", b'5 ; a="b"', b"5\r"]
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n", b""])
def test_chunk_sizes_are_read_as_servers_write_them(size: bytes, end: bytes) -> None:
    body = (size + b"\r\nhello" + end) * 3 + b"0\r\n\r\n"
    assert payload(http(body, "Transfer-Encoding: chunked")) == b"hello" * 3


def test_chunks_of_one_byte_cost_no_more_than_their_size() -> None:
    body = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    tracemalloc.start()
    try:
        assert payload(http(body, "Transfer-Encoding: chunked")) == b"x" * 100_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(body)


def test_a_body_of_millions_of_chunks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_message, "MAX_CHUNKS", 10)
    assert payload(http(b"1\r\nx\r\n" * 10 + b"0\r\n", "Transfer-Encoding: chunked")) == b"x" * 10
    with pytest.raises(PayloadError, match="more than 10 chunks"):
        payload(http(b"1\r\nx\r\n" * 12 + b"0\r\n", "Transfer-Encoding: chunked"))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress, zstd.compress])
def test_a_bomb_stops_at_the_limit(pack: object) -> None:
    name = {gzip.compress: "gzip", zlib.compress: "deflate", zstd.compress: "zstd"}.get(pack, "br")  # type: ignore[call-overload]
    bomb = pack(b"\0" * (20 * MIB))  # type: ignore[operator]
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError) as caught:
            payload(http(bomb, f"Content-Encoding: {name}"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code is RejectCode.RECORD_TOO_LARGE
    assert peak < 8 * MIB


def test_heads_with_bare_line_feeds_odd_status_lines_and_repeated_headers_are_read() -> None:
    response = parse_response(b"HTTP/1.0  200\nContent-Type: a\ncontent-type: b\nnonsense\n\nbody\n\nmore")
    assert response is not None
    assert (response.status, response.headers["content-type"], response.body) == (200, "a", b"body\n\nmore")
    assert parse_response(b"<html>") is None
    only_head = parse_response(b"HTTP/1.1 204 No Content\r\nA: b")
    assert only_head is not None
    assert only_head.body == b""
