"""A page as rules see it: its text, and its words, which are split once for all rules. Knows no rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from spark_prox.heuristics.rules.words import split_words

__all__ = ["TERMINAL", "Broken", "Page", "repeated"]

MOST_CHARACTERS = 2_000_000
"""Rules see no more of a page: they bound the time and memory of one that was made to cost much."""

_TERMINAL_RANGES = (
    "!! .. ?? ։։ ؝؟ ۔۔ ܀܂ ߹߹ ࠷࠷ ࠹࠹ ࠽࠾ ।॥ ၊။ ።። ፧፨ ᙮᙮ ᜵᜶ ។៖ ៙៚ ᠃᠃ ᠉᠉ ᥄᥅ ᪨᪫ ᭚᭛ ᭞᭟ ᰻᰼ ᱾᱿ ‼‽ ⁇⁉ "
    "⸮⸮ ⸼⸼ 。。 ꓿꓿ ꘎꘏ ꛳꛳ ꛷꛷ ꡶꡷ ꣎꣏ ꤯꤯ ꧈꧉ ꩝꩟ ꫰꫱ ꯫꯫ ﹒﹒ ﹖﹗ ！！ ．． ？？ ｡｡"
)
TERMINAL = tuple(chr(c) for pair in _TERMINAL_RANGES.split() for c in range(ord(pair[0]), ord(pair[1]) + 1))
"""Marks that end a sentence: Unicode's property Sentence_Terminal in the scripts of the Basic Multilingual Plane."""

Broken = tuple[str, str]
"""A rule that a page breaks: its name in capitals, and the figure with the limit."""


class Page:
    """A page; empty ones are no pages.

    Attributes:
        text: as the document has it, see `MOST_CHARACTERS`.
    """

    def __init__(self, text: str) -> None:
        self.text = text[:MOST_CHARACTERS]

    @cached_property
    def words(self) -> list[str]:
        """Words and punctuation marks, see `split_words`."""
        return split_words(self.text)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each word occurs."""
        return Counter(self.words)


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts are an earlier one again, and their characters."""
    counts = Counter(parts)
    if len(counts) == len(parts):
        return 0, 0
    return len(parts) - len(counts), sum(len(part) * (count - 1) for part, count in counts.items() if count > 1)
