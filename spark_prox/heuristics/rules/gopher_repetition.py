"""Gopher's repetition rules (Rae et al., arXiv 2112.11446, appendix A.1.2, table A1), on words as FineWeb splits them.

Characters of repeated n-grams are counted once each, from left to right. An n-gram of six words or more can only repeat
where its first five words do, so the others are never looked at.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from spark_prox.heuristics.rules.page import Broken, Page, repeated

__all__ = ["gopher_repetition"]

_PARAGRAPHS = re.compile(r"\n{2,}")
_LINES = re.compile(r"\n+")
_TOP = ((2, 0.20), (3, 0.18), (4, 0.16))
_DUPLICATE = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


def gopher_repetition(page: Page) -> Broken | None:
    """The first rule that the page breaks."""
    text = page.text
    parts = (("PARAGRAPH", _PARAGRAPHS.split(text.strip())), ("LINE", _LINES.split(text)))
    for name, found in parts:
        count, characters = repeated(found)
        if count / len(found) > 0.3:
            return f"DUPLICATE_{name}S", f"{count / len(found):.3g} > 0.3"
        if characters / len(text) > 0.2:
            return f"DUPLICATE_{name}_CHARACTERS", f"{characters / len(text):.3g} > 0.2"
    words = page.words
    for n, limit in _TOP:
        share = _top_characters(words, n) / len(text)
        if share > limit:
            return f"TOP_{n}_GRAM", f"{share:.3g} > {limit}"
    starts = _repeating_starts(words)
    if not starts:
        return None
    ends = [0, *itertools.accumulate(map(len, words))]
    for n, limit in _DUPLICATE:
        share = _duplicate_characters(words, starts, ends, n) / len(text)
        if share > limit:
            return f"DUPLICATE_{n}_GRAMS", f"{share:.3g} > {limit}"
    return None


def _top_characters(words: Sequence[str], n: int) -> int:
    """Characters of the most frequent n-gram, blanks between its words included, times its count."""
    counts = Counter(zip(*(words[offset:] for offset in range(n)), strict=False))
    if not counts:
        return 0
    top = max(counts, key=counts.__getitem__)  # the first of several, as it occurs in the text
    return (sum(map(len, top)) + n - 1) * counts[top]


def _repeating_starts(words: Sequence[str]) -> list[int]:
    """The places at which 5-grams begin that occur more than once."""
    grams = list(zip(*(words[offset:] for offset in range(5)), strict=False))
    if len(set(grams)) == len(grams):
        return []
    counts = Counter(grams)
    return [start for start, gram in enumerate(grams) if counts[gram] > 1]


def _duplicate_characters(words: Sequence[str], starts: Sequence[int], ends: Sequence[int], n: int) -> int:
    """Characters of the n-grams that occurred before; what one covers is in no other."""
    seen: set[tuple[str, ...]] = set()
    characters, free = 0, 0
    last = len(words) - n
    for start in starts:
        if start < free:
            continue
        if start > last:
            break
        gram = tuple(words[start : start + n])
        if gram in seen:
            characters += ends[start + n] - ends[start]
            free = start + n
        else:
            seen.add(gram)
    return characters
