"""Archives that are cut, flipped or edited: every whole record survives, every break is told once, nothing raises."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_prox.sources.warc import blocks, resync
from spark_prox.sources.warc.archive_bytes import ArchiveBytes
from tests.unit.sources.archive_builder import arc, arc_record, html, http, packed, read, record, response, texts, wet

RECORDS = wet(6, size=300)
WHOLE = texts(read(packed(RECORDS)))


@pytest.mark.parametrize("shape", ["plain", "members", "one"])
def test_a_file_cut_anywhere_gives_the_records_before_the_cut_and_one_reject(shape: str) -> None:
    data = packed(RECORDS, shape)
    ends = [len(packed(RECORDS[: n + 1], shape)) for n in range(len(RECORDS))] if shape != "one" else []
    for cut in range(1, len(data), 23):
        rows = read(data[:cut])
        assert texts(rows) == WHOLE[: len(texts(rows))]
        rejects = [row for row in rows if row.reject_code]
        assert len(rejects) <= 1
        assert {row.reject_code for row in rejects} <= {"ARCHIVE_TRUNCATED"}
        if ends:
            assert len(texts(rows)) >= sum(end <= cut for end in ends[1:])
        if cut not in ends and len(texts(rows)) < len(WHOLE) and shape != "plain":
            assert rejects, cut


def test_the_document_of_a_truncated_record_is_named_in_its_reject() -> None:
    data = packed(RECORDS)
    last = read(data[:-30])[-1]
    assert last.reject_code == "ARCHIVE_TRUNCATED"
    assert (last.record_id, last.url) == ("urn:uuid:0006", "http://a.test/6")
    assert last.position == len(packed(RECORDS[:-1]))


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255), st.sampled_from(["plain", "members", "one"]))
def test_a_flipped_byte_costs_no_record_but_those_it_is_in_or_next_to(at: int, flip: int, shape: str) -> None:
    data = bytearray(packed(RECORDS, shape))
    data[at % len(data)] ^= flip
    rows = read(bytes(data))
    intact = len(set(texts(rows)) & set(WHOLE))
    assert intact >= (0 if shape == "one" else len(WHOLE) - 2)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_at_all_give_rows_and_no_exception(data: bytes) -> None:
    for start in (b"", b"WARC/1.0\r\n", b"\x1f\x8b\x08\x00", packed(RECORDS[:2]), packed(RECORDS[:2], "plain")):
        for row in read(start + data):
            assert (row.text is None) != (row.reject_code is None)


def test_after_a_corrupt_member_reading_goes_on_at_the_next_one() -> None:
    members = [bytearray(gzip.compress(one)) for one in RECORDS]
    members[2][40:60] = b"\xff" * 20
    rows = read(b"".join(bytes(one) for one in members))
    assert texts(rows) == [*WHOLE[:1], *WHOLE[2:]]
    [reject] = [row for row in rows if row.reject_code]
    assert reject.reject_code == "ARCHIVE_CORRUPT"
    assert reject.position == len(members[0]) + len(members[1])
    assert f"{len(members[2])} bytes" in str(reject.reject_detail)


def test_several_corrupt_members_in_a_row_are_several_or_one_rejects_and_all_others_survive() -> None:
    members = [gzip.compress(one) for one in wet(200, size=100)]
    spoilt = set(random.Random(7).sample(range(1, 201), 40))
    data = b"".join(one[:30] + b"\0\0\0\0\0\0" + one[36:] if n in spoilt else one for n, one in enumerate(members))
    rows = read(data)
    assert len(texts(rows)) == 160
    assert 1 <= sum(row.reject_code is not None for row in rows) <= 40


def test_a_wrong_checksum_rejects_its_own_record_only() -> None:
    members = [bytearray(gzip.compress(one)) for one in RECORDS]
    members[3][-6] ^= 1
    rows = read(b"".join(bytes(one) for one in members))
    assert texts(rows) == WHOLE[:2] + WHOLE[3:]
    [reject] = [row for row in rows if row.reject_code]
    assert reject.record_id == "urn:uuid:0003"
    assert reject.reject_code == "ARCHIVE_CORRUPT"


def test_a_single_gzip_that_breaks_in_the_middle_gives_what_lies_before() -> None:
    many = wet(400, size=100)
    data = bytearray(packed(many, "one"))
    data[len(data) // 2 : len(data) // 2 + 50] = b"\xff" * 50
    rows = read(bytes(data))
    assert len(texts(rows)) > 150
    assert [row.reject_code for row in rows][-1] == "ARCHIVE_CORRUPT"


def test_garbage_between_members_is_passed_over() -> None:
    data = b"".join(gzip.compress(one) + b"garbage \x1f\x8b\x08 more" for one in RECORDS)
    rows = read(data)
    assert texts(rows) == WHOLE
    assert {row.reject_code for row in rows if row.reject_code} == {"ARCHIVE_CORRUPT"}


def test_zero_padding_and_empty_members_are_nothing() -> None:
    data = b"".join(gzip.compress(one) + gzip.compress(b"") + b"\0" * 700 for one in RECORDS)
    rows = read(data)
    assert texts(rows) == WHOLE
    assert len(rows) == len(WHOLE)


def test_garbage_between_plain_records_is_one_reject() -> None:
    rows = read(RECORDS[1] + b"<p>lost</p>\n" * 10_000 + RECORDS[2])
    assert texts(rows) == WHOLE[:2]
    assert [row.reject_code for row in rows] == [None, "ARCHIVE_CORRUPT", None]
    assert rows[1].position == len(RECORDS[1])


@pytest.mark.parametrize("length", [-5, 10, 500])
def test_a_wrong_content_length_costs_its_record_and_not_the_next(length: int) -> None:
    body = b"A document of thirty-two bytes.\n"
    size = len(body) + length if length > 0 else length
    broken = record("conversion", body, length=size if length != 10 else 12, url="http://b.test/")
    for shape in ("plain", "one", "members"):
        rows = read(packed([*RECORDS[:2], broken, *RECORDS[2:]], shape))
        assert texts(rows) == WHOLE, shape
        [reject] = [row for row in rows if row.reject_code]
        assert reject.url == "http://b.test/"
        assert reject.reject_code == ("RECORD_BAD_HEADER" if length < 0 else "RECORD_BAD_LENGTH")


def test_a_length_that_reaches_into_the_next_member_stops_there() -> None:
    for length in (60, 1000, 3000, 10**9):
        bare = record("conversion", b"no line end behind", length=length, url="http://b.test/").rstrip(b"\r\n")
        rows = read(packed([RECORDS[0], bare, *RECORDS[1:]]), max_text_chars=1000, max_payload_bytes=5000)
        assert len(texts(rows)) == 0, "texts of this test are over the limit"
        assert [row.reject_code for row in rows] == ["RECORD_BAD_LENGTH", *["TEXT_TOO_LARGE"] * 6], length


def test_an_absurd_length_does_not_swallow_a_plain_file() -> None:
    rows = read(record("conversion", b"text", length=10**15) + b"".join(RECORDS[1:]))
    assert [row.reject_code for row in rows] == ["RECORD_BAD_HEADER", *[None] * 6]


def test_a_block_that_misses_as_many_bytes_as_it_has_lines_is_still_cut_off() -> None:
    block = b"one line\nand another"
    rows = read(record("conversion", block, length=len(block) + 1).rstrip(b"\r\n"))
    assert [row.reject_code for row in rows] == ["ARCHIVE_TRUNCATED"]
    bare = record("conversion", block, length=len(block) + 1).rstrip(b"\r\n")
    rows = read(packed([bare, RECORDS[1]]))
    assert [row.reject_code for row in rows] == ["RECORD_BAD_LENGTH", None]


def test_lengths_that_count_lost_carriage_returns_are_taken_as_meant() -> None:
    body = "\r\n".join(f"line {n}" for n in range(40)).encode()
    data = b"".join(record("conversion", body, number=n, Content_Type="text/plain") for n in (1, 2)).replace(
        b"\r\n", b"\n"
    )
    rows = read(data)
    assert texts(rows) == ["\n".join(f"line {n}" for n in range(40))] * 2
    assert len(rows) == 2


def test_a_record_without_length_is_a_bad_header_with_its_url() -> None:
    broken = RECORDS[1].replace(b"Content-Length", b"Content-Width")
    rows = read(broken + RECORDS[2])
    assert [(row.reject_code, row.url) for row in rows] == [
        ("RECORD_BAD_HEADER", "http://a.test/1"),
        (None, "http://a.test/2"),
    ]


def test_a_head_without_end_is_given_up() -> None:
    rows = read(b"WARC/1.0\r\n" + b"X: y\r\n" * 100_000)
    assert [row.reject_code for row in rows] == ["RECORD_BAD_HEADER"]
    assert [row.reject_code for row in read(b"WARC/1.0\r\nWARC-Type: conv")] == ["ARCHIVE_TRUNCATED"]


def test_a_page_that_quotes_a_record_is_one_document() -> None:
    body = b"<pre>\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 3\r\n\r\nabc</pre><p>end"
    rows = read(packed([response(body), *RECORDS[1:3]], "plain"))
    assert len(rows) == 3
    assert "end" in str(rows[0].text)


def test_arc_records_with_bad_lengths_do_not_hide_the_next() -> None:
    good = arc_record("http://a.test/good", http(html("good")))
    for bad in ("-1", "abc", "99999999999999999999"):
        data = arc(arc_record("http://a.test/bad", http(html("bad")), length=bad), good)
        rows = read(data)
        assert texts(rows) == ["good\nText of good."], bad
        assert [row.reject_code for row in rows if row.reject_code] == ["RECORD_BAD_HEADER"]
    rows = read(arc(arc_record("http://a.test/short", http(html("bad")), length="20"), good))
    assert texts(rows) == ["good\nText of good."]
    assert [row.reject_code for row in rows if row.reject_code] == ["RECORD_BAD_LENGTH"]


def test_details_never_hold_content() -> None:
    secret = b"s3cret-w0rd"
    made = [
        secret * 100,
        record("conversion", secret * 9, length=20, url=None),
        response(secret, "Content-Encoding: gzip", mime="application/x-" + "z" * 5),
        response(b"4\r\nabcd\r\n" + secret, "Transfer-Encoding: chunked"),
        record("conversion", secret, url=None).replace(b"Content-Length", secret),
    ]
    rows = [row for one in made for row in read(one + RECORDS[1])]
    assert sum(row.reject_code is not None for row in rows) == 5
    assert all(secret.decode() not in f"{row.reject_detail}" for row in rows)


def test_members_that_claim_far_more_than_they_hold_are_passed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that are looked at grow with the file, not with its square."""
    looked = [0]
    search = resync.next_start

    def counted(data: ArchiveBytes, begin: int, end: int, is_arc: bool) -> int | None:
        found = search(data, begin, end, is_arc)
        looked[0] += end if found is None else found
        return found

    monkeypatch.setattr(blocks, "next_start", counted)
    one = record("conversion", b"hello", Content_Type="text/plain", length=79_000_000)
    rows = read(packed([one] * 500))
    assert len(rows) == 500
    assert looked[0] <= 500 * len(one)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_of_blank_bytes_is_one_reject(pack: Callable[[bytes], bytes]) -> None:
    assert [row.reject_code for row in read(pack(b"\0" * 1000))] == ["ARCHIVE_CORRUPT"]


def test_blank_bytes_without_end_cost_their_member_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "MAX_BLANK_BYTES", 1 << 16)
    rows = read(gzip.compress(b"\0" * (1 << 20)) + gzip.compress(wet(1)[1]))
    assert [row.reject_code for row in rows] == ["ARCHIVE_CORRUPT", None]
