"""Archives that are as they should be: which records become documents, under which id, url, place and crawl."""

from __future__ import annotations

import io
import tracemalloc
import zlib

import pytest

from spark_prox.sources.warc.archive import read_archive
from tests.unit.sources.archive_builder import arc, arc_record, html, http, packed, read, record, response, texts, wet


def codes(data: bytes, **limits: int) -> list[str | None]:
    return [row.reject_code and row.reject_code.value for row in read(data, **limits)]


@pytest.mark.parametrize("shape", ["plain", "members", "one"])
def test_every_packing_gives_the_same_documents(shape: str) -> None:
    rows = read(packed(wet(3), shape))
    assert [row.record_id for row in rows] == ["urn:uuid:0001", "urn:uuid:0002", "urn:uuid:0003"]
    assert [row.url for row in rows] == ["http://a.test/1", "http://a.test/2", "http://a.test/3"]
    assert texts(rows)[1].startswith("Document 2\nword ")
    assert {row.crawl for row in rows} == {"CC-MAIN-2024-10"}
    assert {row.crawled_at for row in rows} == {"2024-01-02T03:04:05Z"}


@pytest.mark.parametrize("shape", ["plain", "members"])
def test_a_position_is_where_its_record_can_be_read_from(shape: str) -> None:
    data = packed(wet(4), shape)
    for row in read(data):
        again = next(read_archive(io.BytesIO(data[row.position :])))
        assert again.record_id == row.record_id


def test_a_position_in_a_single_gzip_counts_decompressed_bytes() -> None:
    records = wet(2)
    assert [row.position for row in read(packed(records, "one"))] == [len(records[0]), len(records[0] + records[1])]


def test_records_that_are_no_documents_give_no_row() -> None:
    data = (
        record("warcinfo", b"software: x", url=None)
        + record("request", b"GET / HTTP/1.1\r\n\r\n")
        + record("metadata", b'{"Envelope": {}}')
        + record(
            "resource",
            b"--warc-file=x",
            url="metadata://gnu.org/software/wget/warc/arguments.txt",
            Content_Type="text/plain",
        )
        + record("continuation", b"x")
    )
    assert read(data) == []


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (record("revisit", b"HTTP/1.1 200 OK\r\n\r\n"), "RECORD_REVISIT"),
        (response(b"\x89PNG", mime="image/png"), "RECORD_NOT_TEXT"),
        (response(b"a{}", mime="text/css"), "RECORD_NOT_TEXT"),
        (response(b"%PDF-1.4 ..."), "RECORD_NOT_TEXT"),
        (response(b""), "RECORD_HTTP_ERROR"),
        (response(html("x"), status="404 Not Found"), "RECORD_HTTP_STATUS"),
        (response(html("x"), status="301 Moved"), "RECORD_HTTP_STATUS"),
        (record("response", b"no http", Content_Type="application/http"), "RECORD_HTTP_ERROR"),
        (record("response", b"", Content_Type="application/http"), "RECORD_HTTP_ERROR"),
        (record("response", b"a.test 1.2.3.4", url="dns:a.test", Content_Type="text/dns"), "RECORD_NOT_TEXT"),
        (record("resource", b"\xff\xd8\xff", Content_Type="image/jpeg"), "RECORD_NOT_TEXT"),
        (record("conversion", b"", Content_Type="text/plain"), "EMPTY_TEXT"),
        (record("conversion", b" \n\t\n", Content_Type="text/plain"), "EMPTY_TEXT"),
        (record("conversion", b"%PDF", Content_Type="application/pdf"), "RECORD_NOT_TEXT"),
        (response(b"<html><script>x</script></html>"), "EMPTY_TEXT"),
        (response(html("x"), WARC_Segment_Number="1"), "RECORD_UNREADABLE"),
        (record("", html("x")), "RECORD_BAD_HEADER"),
    ],
)
def test_what_claims_to_be_a_document_and_is_none_gives_a_code(made: bytes, code: str) -> None:
    rows = read(made + wet(1)[1])
    assert [row.reject_code for row in rows] == [code, None]
    assert rows[0].record_id == "urn:uuid:0001"
    assert rows[0].url
    assert rows[0].text is None
    assert rows[0].reject_detail


def test_html_becomes_one_block_a_line_without_blank_lines() -> None:
    page = b"<h1> A  title </h1><ul><li>one<li>two</ul><p>a <b>bold</b>\n word</p><noscript>no</noscript><img alt=pic>"
    assert texts(read(response(page))) == ["A title\none\ntwo\na bold word"]


def test_plain_text_keeps_its_lines_and_loses_carriage_returns_and_nuls() -> None:
    assert texts(read(response(b"a\r\n  b\x00\rc\r\n", mime="text/plain"))) == ["a\n  b\nc"]


def test_a_resource_record_with_html_is_a_document() -> None:
    rows = read(record("resource", html("kept"), Content_Type="text/html"))
    assert texts(rows) == ["kept\nText of kept."]


def test_a_page_without_a_media_type_is_known_by_its_start() -> None:
    assert len(texts(read(record("response", b"HTTP/1.0 200 OK\r\n\r\n" + html("x"))))) == 1
    assert codes(record("response", b"HTTP/1.0 200 OK\r\n\r\n\x00\x01")) == ["RECORD_NOT_TEXT"]


def test_uris_with_spaces_and_angle_brackets_are_kept() -> None:
    rows = read(
        record("conversion", b"x", url="http://a.test/a b c") + record("conversion", b"y", url="<http://b.test/>")
    )
    assert [row.url for row in rows] == ["http://a.test/a b c", "http://b.test/"]


def test_a_conversion_without_uri_is_a_document() -> None:
    rows = read(record("conversion", b"text", url=None))
    assert [(row.url, row.text) for row in rows] == [(None, "text")]


def test_the_crawl_is_that_of_the_last_warcinfo() -> None:
    first, second = wet(1), record("warcinfo", b"isPartOf: other\r\n", url=None)
    rows = read(b"".join([*first, second, first[1], record("warcinfo", b"", url=None), first[1]]))
    assert [row.crawl for row in rows] == ["CC-MAIN-2024-10", "other", None]


def test_headers_are_read_in_any_case_and_over_several_lines() -> None:
    head = b"WARC/1.1\r\nwarc-type: Conversion\r\nno colon here\r\nWARC-TARGET-URI: http://a\r\n .test/\r\n"
    head += b"content-length: 4\r\n\r\ntext"
    assert [(row.url, row.text) for row in read(head)] == [("http://a .test/", "text")]


@pytest.mark.parametrize("shape", ["plain", "one"])
def test_arc_files_are_read_like_warc_files(shape: str) -> None:
    data = arc(
        arc_record("http://a.test/", http(html("first"))),
        arc_record("http://a.test/with some spaces", http(html("second"))),
        arc_record("http://a.test/3", b"<html><p>no http head</html>"),
        arc_record("http://a.test/4", b"", mime="text/html"),
        arc_record("http://a.test/5", http(b"GIF8", mime="image/gif"), mime="image/gif"),
    )
    rows = read(packed([data], shape))
    assert [row.url for row in rows][:3] == ["http://a.test/", "http://a.test/with some spaces", "http://a.test/3"]
    assert texts(rows) == ["first\nText of first.", "second\nText of second.", "no http head"]
    assert [row.reject_code for row in rows[3:]] == ["RECORD_HTTP_ERROR", "RECORD_NOT_TEXT"]
    assert rows[0].record_id is None
    assert rows[0].crawled_at == "20050102030405"


def test_a_text_over_the_limit_is_too_large_and_the_next_is_read() -> None:
    data = b"".join(record("conversion", b"x" * size, number=size, Content_Type="text/plain") for size in (100, 101, 5))
    assert codes(data, max_text_chars=100, max_payload_bytes=10) == [None, "TEXT_TOO_LARGE", None]


def test_a_record_over_the_cap_is_passed_over_without_being_kept() -> None:
    big = record("conversion", b"y" * 1_000_000, Content_Type="text/plain")
    assert codes(big + wet(1)[1], max_text_chars=1000, max_payload_bytes=10) == ["TEXT_TOO_LARGE", None]
    page = response(b"<p>" + b"y" * 1_000_000)
    assert codes(page + wet(1)[1], max_text_chars=1000, max_payload_bytes=10) == ["RECORD_TOO_LARGE", None]


def test_an_empty_file_and_a_zstd_file_give_one_reject() -> None:
    assert codes(b"") == ["ARCHIVE_TRUNCATED"]
    assert codes(b"\x28\xb5\x2f\xfd" + b"x" * 100) == ["ARCHIVE_UNREADABLE"]


def test_text_that_is_no_archive_gives_one_reject() -> None:
    assert codes(b'{"text": "x"}\n' * 1000) == ["ARCHIVE_CORRUPT"]


def test_a_stream_that_fails_gives_a_reject() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1000:
                raise OSError("disk")
            return super().read(size)

    rows = list(read_archive(Failing(packed(wet(2000)))))
    assert rows[-1].reject_code == "ARCHIVE_UNREADABLE"
    assert len(texts(rows)) > 10


def test_memory_stays_flat_over_a_long_archive() -> None:
    class Endless(io.RawIOBase):
        """The same members again and again."""

        def __init__(self) -> None:
            self.unit, self.left = packed(wet(50, size=200)) * 4, 4 << 20  # 26 MB unpacked
            self.rest = b""

        def read(self, size: int = -1) -> bytes:
            while len(self.rest) < size and self.left > 0:
                self.rest += self.unit
                self.left -= len(self.unit)
            data, self.rest = self.rest[:size], self.rest[size:]
            return data

    stream = Endless()
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_archive(stream))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count > 10_000
    assert peak < 8 << 20


def test_a_gzip_bomb_in_a_record_is_never_held_at_once() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    data = response(bomb, "Content-Encoding: deflate")
    tracemalloc.start()
    try:
        rows = read(data, max_payload_bytes=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row.reject_code for row in rows] == ["RECORD_TOO_LARGE"]
    assert peak < 16 << 20
