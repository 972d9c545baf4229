from __future__ import annotations

import pytest

from spark_prox.models import load_tokenizer
from spark_prox.prompts import encoding
from spark_prox.prompts.encoding import count_tokens, encode_all

TEXTS = ["", "a line", "two\nlines", "word " * 40 + "\n" + "x" * 90, "last one\n"] * 3


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CHARS_AT_ONCE", 64)


@pytest.mark.usefixtures("_small_parts")
def test_texts_encoded_a_few_at_a_time_are_what_they_are_one_by_one() -> None:
    tokenizer = load_tokenizer("embedded")
    assert list(encode_all(tokenizer, TEXTS)) == [
        tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS
    ]


@pytest.mark.usefixtures("_small_parts")
def test_a_long_text_is_counted_in_parts_that_lose_nothing() -> None:
    tokenizer = load_tokenizer("embedded")
    text = "\n".join(f"line {n} of a page" for n in range(50)) + "y" * 200
    parts = list(encoding._parts(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 64
    whole = len(tokenizer.encode(text, add_special_tokens=False).ids)
    assert abs(count_tokens(tokenizer, [text])[0] - whole) <= len(parts)
    assert count_tokens(tokenizer, ["", "a b"]) == [0, len(tokenizer.encode("a b", add_special_tokens=False).ids)]
