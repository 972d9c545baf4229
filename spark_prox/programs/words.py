"""Count words: runs of characters that `str.isspace` does not call space, as `str.split` and upstream count them."""

from __future__ import annotations

import re

__all__ = ["count_words", "has_more_words_than", "words_to_clear"]

_ASCII_SPACES = bytes((*range(0x09, 0x0E), *range(0x1C, 0x21)))
_MARKS = bytes(0x20 if byte in _ASCII_SPACES else 0x78 for byte in range(256))
# First byte, then the rest, of the UTF-8 of every other character that `str.split` splits at.
_OTHER_SPACES = {
    b"\xc2": re.compile(b"\xc2[\x85\xa0]"),
    b"\xe1": re.compile(b"\xe1\x9a\x80"),
    b"\xe2": re.compile(b"\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)"),
    b"\xe3": re.compile(b"\xe3\x80\x80"),
}


def count_words(text: str) -> int:
    """`len(text.split())`, about three times as fast: a word is where a blank ends, and bytes are quick to search."""
    data = text.encode("utf-8", "surrogatepass")
    if not text.isascii() and any(first in data and rest.search(data) for first, rest in _OTHER_SPACES.items()):
        return len(text.split())
    marks = data.translate(_MARKS)
    return marks.count(b" x") + (marks[:1] == b"x")


def has_more_words_than(text: str, limit: int) -> bool:
    """True if `count_words(text) > limit`; stops reading where it is decided."""
    return limit < 0 or len(text.split(None, limit)) > limit


def words_to_clear(most_removed: int, share: float) -> int:
    """A number such that a text with more words than that is certainly more than `share` of the words before.

    Args:
        most_removed: no fewer than the words that were removed; a piece of n characters has at most n // 2 + 1.
        share: words after / words before, from 0 to 1.
    """
    return int(most_removed * share / (1 - share) * 1.01) + 2 if share < 0.99 else 1 << 62
