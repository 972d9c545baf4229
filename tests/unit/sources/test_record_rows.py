"""The rows of the Spark data source, without Spark: every record, its columns, its damage, and byte ranges of files."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spark_prox.sources.conditions import Condition
from spark_prox.sources.page_text import page_text
from spark_prox.sources.warc.contents import ContentReader
from spark_prox.sources.warc.file_frames import file_frames
from spark_prox.sources.warc.record_rows import RecordQuery, RecordRow, read_records
from tests.unit.sources.archive_builder import arc, arc_record, html, http, packed, record, response, wet

FULL = RecordQuery()


def rows(data: bytes, query: RecordQuery = FULL, **limits: int) -> list[RecordRow]:
    contents = ContentReader(**{"max_text_chars": 10_000, **limits}, html_to_text=page_text)
    return list(read_records(io.BytesIO(data), query, contents, path="a.warc"))


def columns(*names: str, **conditions: str | int) -> RecordQuery:
    tests = tuple(Condition(column=name, test="=", values=(value,)) for name, value in conditions.items())
    return RecordQuery(columns=frozenset(names), conditions=tests)


def test_a_response_fills_every_column() -> None:
    data = response(
        html("one"), "Content-Language: de", mime="Text/HTML; charset=UTF-8", WARC_Payload_Digest="sha1:ABC", number=7
    )
    (row,) = rows(data)
    assert row._replace(warc_headers=None, http_headers=None) == RecordRow(
        record_id="urn:uuid:0007",
        target_uri="http://a.test/",
        date=datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        type="response",
        digest="sha1:ABC",
        http_status=200,
        media_type="text/html",
        charset="utf-8",
        language="de",
        text="one\nText of one.",
        payload=html("one"),
        path="a.warc",
        position=0,
    )
    assert row.warc_headers is not None
    assert row.warc_headers["warc-type"] == "response"
    assert row.http_headers == {"content-type": "Text/HTML; charset=UTF-8", "content-language": "de"}


def test_every_record_has_a_row_whatever_its_type_and_status() -> None:
    data = (
        record("warcinfo", b"software: x", url=None, Content_Type="application/warc-fields")
        + record("request", b"GET / HTTP/1.1\r\n\r\n", Content_Type="application/http; msgtype=request")
        + response(b"", status="301 Moved")
        + response(html("missing"), status="404 Not Found")
        + response(b"GIF89a", mime="image/gif")
        + record("revisit", http(b""), Content_Type="application/http; msgtype=response")
        + record("metadata", b"fetchTimeMs: 3", Content_Type="application/warc-fields")
        + record("resource", html("kept"), Content_Type="text/html")
        + wet(1)[1]
    )
    found = [(row.type, row.http_status, row.media_type, row.text) for row in rows(data)]
    assert found == [
        ("warcinfo", None, "application/warc-fields", None),
        ("request", None, "application/http", None),
        ("response", 301, "text/html", None),
        ("response", 404, "text/html", "missing\nText of missing."),
        ("response", 200, "image/gif", None),
        ("revisit", 200, "text/html", None),
        ("metadata", None, "application/warc-fields", None),
        ("resource", None, "text/html", "kept\nText of kept."),
        ("conversion", None, "text/plain", "Document 1\n" + "word " * 40 + "1"),
    ]
    assert {row.error for row in rows(data)} == {None}
    assert [row.payload for row in rows(data)][:3] == [b"software: x", b"GET / HTTP/1.1\r\n\r\n", b""]


def test_an_arc_file_has_the_same_columns() -> None:
    info, page = rows(arc(arc_record("http://a.test/1", http(html("arc")))))
    assert (info.type, page.type, page.http_status, page.media_type) == ("warcinfo", "response", 200, "text/html")
    assert page.date == datetime(2005, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert page.text == "arc\nText of arc."


def test_nothing_is_parsed_unless_text_is_asked_for() -> None:
    def fail(payload: bytes, charset: str | None) -> str:
        raise AssertionError("a page was parsed")

    contents = ContentReader(max_text_chars=100, html_to_text=fail)
    data = response(html("one")) + response(html("two"), status="404 Not Found")
    for query in (columns("target_uri", "payload", "error"), columns("text", http_status=500)):
        list(read_records(io.BytesIO(data), query, contents, path="a"))
    with pytest.raises(AssertionError):
        list(read_records(io.BytesIO(data), columns("text", http_status=404), contents, path="a"))


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (Condition(column="type", test="=", values=("response",)), 2),
        (Condition(column="type", test="=", values=("response",), negated=True), 1),
        (Condition(column="http_status", test="in", values=(200, 204)), 1),
        (Condition(column="http_status", test=">=", values=(400,)), 1),
        (Condition(column="http_status", test="is null"), 1),
        (Condition(column="media_type", test="starts", values=("text/",)), 2),
    ],
)
def test_a_condition_leaves_rows_out(condition: Condition, kept: int) -> None:
    data = (
        record("request", b"GET", Content_Type="application/http") + response(html("a")) + response(b"x", status="404")
    )
    assert len(rows(data, RecordQuery(conditions=(condition,)))) == kept


def test_damage_is_a_row_and_the_records_behind_it_are_read() -> None:
    good = [response(html(str(n)), number=n) for n in range(3)]
    broken = bytearray(packed([good[1]]))
    broken[len(broken) // 2] ^= 0xFF
    data = packed([good[0]]) + bytes(broken) + packed([good[2]])
    found = [(row.record_id, row.error) for row in rows(data)]
    assert found[0] == ("urn:uuid:0000", None)
    assert found[-1] == ("urn:uuid:0002", None)
    assert [error for _, error in found[1:-1]] == ["ARCHIVE_CORRUPT"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "ARCHIVE_TRUNCATED"),
        (b"no archive at all", "ARCHIVE_CORRUPT"),
        (packed(wet(1))[:-20], "ARCHIVE_TRUNCATED"),
        (response(b"\x1f\x8bxx", "Content-Encoding: gzip"), "RECORD_UNREADABLE"),
        (response(html("x" * 500)), "TEXT_TOO_LARGE"),
        (record("response", b"", Content_Type="application/http"), "RECORD_HTTP_ERROR"),
    ],
)
def test_what_is_wrong_has_a_code(data: bytes, error: str) -> None:
    assert rows(data, max_text_chars=400)[-1].error == error


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2024-02-29T23:59:60Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone.utc)),
        ("2024-01-02T03:04:05.123456789Z", datetime(2024, 1, 2, 3, 4, 5, 123456, tzinfo=timezone.utc)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, tzinfo=timezone.utc)),
        ("2024-01-02", datetime(2024, 1, 2, tzinfo=timezone.utc)),
        ("2024-13-02T03:04:05Z", None),
        ("yesterday", None),
    ],
)
def test_a_date_is_read_or_null(written: str, date: datetime | None) -> None:
    data = record("metadata", b"x").replace(b"2024-01-02T03:04:05Z", written.encode())
    assert rows(data)[0].date == date


def parts(data: bytes, size: int) -> list[tuple[int, str]]:
    """The positions of records and the codes of gaps, read in ranges of `size` bytes."""
    found = []
    for start in range(0, len(data), size):
        stop = start + size if start + size < len(data) else None
        for item in file_frames(io.BytesIO(data), max_block_bytes=1 << 20, start=start, stop=stop):
            found.append((item.position, type(item).__name__))
    return found


@pytest.mark.parametrize("shape", ["plain", "members"])
@pytest.mark.parametrize("size", [1, 37, 150, 1_000, 100_000])
def test_ranges_side_by_side_give_every_record_once(shape: str, size: int) -> None:
    data = packed(wet(6), shape)
    assert parts(data, size) == parts(data, len(data))
    assert len(parts(data, size)) == 7


@pytest.mark.parametrize("size", [40, 333, 2_000])
def test_ranges_of_a_damaged_file_give_what_the_whole_file_gives(size: int) -> None:
    records = [bytearray(packed([one])) for one in wet(8)]
    records[3][len(records[3]) // 2] ^= 0xFF
    records[5][:12] = b"garbage here"
    data = b"".join(bytes(one) for one in records)
    assert parts(data, size) == parts(data, len(data))


def test_a_file_that_cannot_be_divided_belongs_to_its_first_range() -> None:
    import bz2

    for data in (packed(wet(5), "one"), bz2.compress(packed(wet(5), "plain"))):
        assert len(parts(data, 60)) == 6


def test_real_archives_give_the_same_in_ranges(shared_data: Path) -> None:
    checked = 0
    for file in sorted((shared_data / "archives").rglob("*")):
        data = file.read_bytes() if file.is_file() and file.name.endswith((".gz", ".warc", ".arc", ".wet")) else b""
        if 0 < len(data) < 300_000:
            assert parts(data, 20_000) == parts(data, len(data)), file.name
            checked += 1
    assert checked > 20
