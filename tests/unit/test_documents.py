from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.documents import Lines, document_hash, join_lines, split_lines


@given(st.text())
def test_joining_lines_undoes_splitting_them(text: str) -> None:
    assert join_lines(split_lines(text)) == text


def test_only_a_newline_ends_a_line() -> None:
    assert split_lines("a\r\nb\x0bc\u2028d\x85e\nf") == ["a\r", "b\x0bc\u2028d\x85e", "f"]


def test_the_hash_is_sha256_of_utf8_and_takes_any_string() -> None:
    assert document_hash("Grüße") == hashlib.sha256("Grüße".encode()).hexdigest()
    assert document_hash("a\ud800b") == document_hash("a?b")


@given(st.text(alphabet="ab\n\r\x85é日\U0001f600", max_size=80), st.slices(12), st.integers(-12, 12))
def test_lines_are_those_of_split_lines_wherever_one_looks(text: str, part: slice, place: int) -> None:
    lines, expected = Lines(text), split_lines(text)
    assert list(lines) == expected
    assert len(lines) == len(expected)
    assert lines[part] == expected[part]
    if -len(expected) <= place < len(expected):
        assert lines[place] == expected[place]
    else:
        with pytest.raises(IndexError):
            lines[place]


def test_lines_of_more_text_than_is_cut_at_once() -> None:
    text = "\n".join(str(number) * (number % 7) for number in range(2_000))
    assert list(Lines(text)) == split_lines(text)
    assert list(reversed(Lines(text))) == split_lines(text)[::-1]
    assert Lines(text) == Lines(text)
    assert Lines(text) != Lines(text + "\n")
    assert Lines(text) != split_lines(text)
