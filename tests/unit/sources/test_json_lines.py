"""JSON Lines files: every line once, whatever the file is cut into, and a code for what is no object."""

from __future__ import annotations

import gzip
import io
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_prox.sources.json_lines import LineRow, read_json_lines


def read(data: bytes, **how: int) -> list[LineRow]:
    return list(read_json_lines(io.BytesIO(data), **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_come_with_the_offset_of_their_first_byte(pack: object) -> None:
    rows = read(pack(b'{"a": 1}\n\n  \n{"a": "\xc3\xa9"}\r\n{"a": 3}'))  # type: ignore[operator]
    assert [(row.position, json.loads(row.line or "")["a"]) for row in rows] == [(0, 1), (13, "é"), (26, 3)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=60), max_size=30), st.integers(min_value=1, max_value=90))
def test_parts_of_a_file_hold_every_line_exactly_once(sizes: list[int], step: int) -> None:
    lines = [b"" if size == 0 else b'{"n": "%s"}' % (b"x" * size) for size in sizes]
    data = b"\n".join(lines)
    whole = read(data)
    parts = [
        row
        for start in range(0, max(len(data), 1), step)
        for row in read_json_lines(io.BytesIO(data[max(start - 1, 0) :]), start=start, end=start + step)
    ]
    assert parts == whole
    assert len(whole) == sum(bool(line) for line in lines)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"not json secret", "no JSON at column 1"),
        (b'{"text": "secret', "no JSON at column 10"),
        (b'{"a": 1} {"a": 2}', "no JSON at column 10"),
        (b'[{"text": "secret"}]', "a JSON list, not an object"),
        (b'"secret"', "a JSON str, not an object"),
        (b" [ ", "JSON that goes over several lines, where each line is one object (jq -c makes them)"),
        (b"null", "a JSON NoneType, not an object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_line_that_is_no_object_is_a_bad_row_and_the_next_is_read(line: bytes, detail: str) -> None:
    rows = read(line + b'\n{"a": 1}\n')
    assert [(row.reject_code, row.reject_detail, row.line) for row in rows] == [
        ("BAD_ROW", detail, None),
        (None, None, '{"a": 1}'),
    ]


def test_raw_control_characters_and_bytes_that_are_no_utf_8_are_read() -> None:
    rows = read(b'{"a": "tab\t nul\x00 bad\xff"}\n')
    assert json.loads(rows[0].line or "", strict=False) == {"a": "tab\t nul\x00 bad\ufffd"}


def test_a_byte_order_mark_is_dropped() -> None:
    assert [row.line for row in read(b'\xef\xbb\xbf{"a": 1}\n')] == ['{"a": 1}']


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_of_another_encoding_is_one_reject_that_says_so(encoding: str) -> None:
    rows = read('\ufeff{"a": 1}\n{"a": 2}\n'.encode(encoding))
    assert [row.reject_code for row in rows] == ["FILE_UNREADABLE"]
    assert "UTF-16" in (rows[0].reject_detail or "")


def test_a_line_of_many_megabytes_is_read_and_one_over_the_limit_is_too_large() -> None:
    long = b'{"a": "' + b"x" * 5_000_000 + b'"}'
    assert [len(row.line or "") for row in read(long + b"\n{}\n" + long)] == [len(long), 2, len(long)]
    rows = read(long + b"\n{}\n", max_line_bytes=1_000_000)
    assert [(row.position, row.reject_code, row.line) for row in rows] == [
        (0, "TEXT_TOO_LARGE", None),
        (len(long) + 1, None, "{}"),
    ]


def test_a_truncated_gzip_gives_its_lines_and_one_reject() -> None:
    numbers = random.Random(1)
    data = gzip.compress(b"".join(b'{"n": %d}\n' % numbers.getrandbits(60) for _ in range(5000)))
    rows = read(data[: len(data) // 2])
    assert sum(row.line is not None for row in rows) > 2000
    assert {row.reject_code for row in rows[:-2]} == {None}
    assert rows[-1].reject_code == "FILE_UNREADABLE"


def test_a_gzip_is_read_whole_by_its_first_part() -> None:
    data = gzip.compress(b'{"a": 1}\n' * 100)
    assert len(read(data, start=0, end=10)) == 100


def test_an_empty_file_has_no_rows() -> None:
    assert read(b"") == []
    assert read(gzip.compress(b"")) == []
