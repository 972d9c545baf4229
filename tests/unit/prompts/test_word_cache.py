"""A cache of words gives the tokenizer's own ids, whatever is in a text, and stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from spark_prox.models import load_tokenizer
from spark_prox.prompts import word_cache
from spark_prox.prompts.text_tokenizer import TextTokenizer
from spark_prox.prompts.word_cache import WordCache, cuts_at_blanks, newline_token

ODD = "ab \u00a0\u3000\u2581\u00b4\u0301\u200b\n\t…½ﬁ中文Ａ<s>"
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8", exclude_categories=["Cn"])), max_size=40)


@pytest.fixture(scope="module")
def embedded() -> TextTokenizer:
    found = load_tokenizer("embedded")
    assert isinstance(found, TextTokenizer)
    return found


@given(st.lists(TEXTS, max_size=4))
def test_ids_are_those_of_the_whole_text(embedded: TextTokenizer, texts: list[str]) -> None:
    assert embedded.words is not None
    expected = [embedded.encode(text, add_special_tokens=False).ids for text in texts]
    assert embedded.words.encode(texts) == expected
    assert embedded.words.encode(texts) == expected  # from memory


def test_characters_that_only_python_knows_are_left_to_the_tokenizer(embedded: TextTokenizer) -> None:
    assert embedded.words is not None
    newer = ["\U000107b5", "a \ua7f2b\n\U0001e030", "\U0001ccd6 1"]
    expected = [embedded.encode(text, add_special_tokens=False).ids for text in newer]
    assert embedded.words.encode(newer) == expected


def test_a_word_is_encoded_once_and_long_ones_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return [[len(text)] for text in texts]

    monkeypatch.setattr(word_cache, "_MAX_WORDS", 3)
    cache = WordCache(encode)
    long = "x" * 40
    assert cache.encode(["a bb", f"a {long} bb"]) == [[1, 2], [1, 40, 2]]
    assert sorted(asked) == ["a", "bb", long]
    assert cache.encode([f"bb a {long}"]) == [[2, 1, 40]]
    assert asked[3:] == [long]
    cache.encode(["c d e"])  # more than it may hold: it begins anew
    assert cache.encode(["a"]) == [[1]]
    assert asked[-1] == "a"


def test_the_first_word_of_a_line_is_remembered_whatever_ends_the_line_before(embedded: TextTokenizer) -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return [embedded.encode(text, add_special_tokens=False).ids for text in texts]

    cache = WordCache(encode, newline_token(embedded))
    cache.encode(["One two.\nThree four.\n\nFive"])
    asked.clear()
    text = "two.\nThree\n\nFive four."
    assert cache.encode([text]) == [embedded.encode(text, add_special_tokens=False).ids]
    assert asked == []
    odd = "two.\ufdd0\nThree"  # one token of the unknown character and the newline
    assert cache.encode([odd]) == [embedded.encode(odd, add_special_tokens=False).ids]


def test_other_layouts_have_no_cache() -> None:
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    assert not cuts_at_blanks(words)
    assert TextTokenizer(words).words is None
