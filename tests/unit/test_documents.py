from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from spark_prox.documents import document_hash, join_lines, split_lines


@given(st.text())
def test_joining_lines_undoes_splitting_them(text: str) -> None:
    assert join_lines(split_lines(text)) == text


def test_only_a_newline_ends_a_line() -> None:
    assert split_lines("a\r\nb\x0bc\u2028d\x85e\nf") == ["a\r", "b\x0bc\u2028d\x85e", "f"]


def test_the_hash_is_sha256_of_utf8_and_takes_any_string() -> None:
    assert document_hash("Grüße") == hashlib.sha256("Grüße".encode()).hexdigest()
    assert document_hash("a\ud800b") == document_hash("a?b")
