from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_prox.programs.words import count_words, has_more_words_than, words_to_clear


def test_every_character_separates_words_or_does_not_as_split_says() -> None:
    for point in range(0x110000):
        text = f"a{chr(point)}b {chr(point)}"
        if count_words(text) != len(text.split()):
            raise AssertionError(hex(point))


@given(st.text(st.characters(codec=None)), st.integers(-1, 9))
def test_words_are_counted_as_split_counts_them(text: str, limit: int) -> None:
    assert count_words(text) == len(text.split())
    assert has_more_words_than(text, limit) == (len(text.split()) > limit)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_enough_words_clear_a_share_for_certain(removed: int, share: float) -> None:
    left = words_to_clear(removed, share) + 1
    assert left / (left + removed) > share or share >= 0.99
