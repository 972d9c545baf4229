"""Line shapes are part of the model: the fast counting of characters and capitals gives what the plain one gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_prox.prompts.line_shape import _NO_DIGITS, _NO_LETTERS, _WORD, _case_of, _count, line_shapes

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("aB1 ²½ßÀ中٣_ẞ\u0301-.")), max_size=60)


def plain_case(text: str) -> int:
    cased = [word for word in _WORD.findall(text) if word.lower() != word.upper()]
    if not cased:
        return 0
    if text.isupper():
        return 4
    capital = sum(word[0].isupper() for word in cased)
    if len(cased) > 1 and 3 * capital >= 2 * len(cased):
        return 3
    return 2 if cased[0][0].isupper() else 1


@given(TEXTS)
def test_characters_are_counted_as_one_by_one(text: str) -> None:
    assert _count(text, _NO_DIGITS, str.isdigit) == sum(map(str.isdigit, text))
    assert _count(text, _NO_LETTERS, str.isalpha) == sum(map(str.isalpha, text))


@given(TEXTS)
def test_capitals_are_seen_as_word_by_word(text: str) -> None:
    assert _case_of(_WORD.findall(text), text) == plain_case(text)


def test_shapes_of_a_small_page() -> None:
    shapes = line_shapes(["Home", "A Title Of Words", "A sentence of words.", "", "Home", "12.05.2024"])
    assert list(shapes.size) == [1, 4, 4, 0, 1, 3]
    assert [length % 3 for length in shapes.length] == [0, 0, 2, 0, 0, 0]
    assert [form % 6 for form in shapes.form] == [0, 0, 0, 0, 1, 4]
