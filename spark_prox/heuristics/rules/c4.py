"""C4's page rules (Raffel et al., arXiv 1910.10683, section 2.2, and its released code).

C4 removes lines first and then drops pages with fewer than five sentences left. Here no line is removed: the page's
verdict is the one that C4 gives. Its list of bad words is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spark_prox.heuristics.rules.page import TERMINAL, Broken, Page
from spark_prox.heuristics.rules.words import is_punctuation, split_words

__all__ = ["c4_rules"]

_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
_LINE_ENDS = (".", "?", "!", '"', "'")
_NOTICES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SENTENCE_ENDS = frozenset(TERMINAL)


def c4_rules(page: Page, *, line_ends: bool = True) -> Broken | None:
    """The first rule that the page breaks.

    Args:
        line_ends: lines without a final punctuation mark do not count, as in C4; FineWeb counts them.
    """
    sentences = 0
    for raw in page.text.splitlines():
        line = raw.strip()
        words = line.split()
        if len(line) > 1_000 and max(map(len, words)) > 1_000:
            continue
        if "[" in line:
            line = _CITATION.sub("", line)
        if line_ends and (not line.endswith(_LINE_ENDS) or line.endswith("...")):
            continue
        if len(words) < 3:
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            return "LOREM_IPSUM", ""
        if "javascript" in lowered:
            continue
        if "{" in line:
            return "CURLY_BRACKET", ""
        if any(notice in lowered for notice in _NOTICES):
            continue
        if sentences < 5:
            sentences += _count_sentences(split_words(line))
    return ("SENTENCES", f"{sentences} < 5") if sentences < 5 else None


def _count_sentences(words: Sequence[str]) -> int:
    """Sentences of a line: a word begins one that follows a final punctuation mark."""
    count, ended = min(len(words), 1), False
    for word in words:
        if word in _SENTENCE_ENDS:
            ended = True
        elif ended and not is_punctuation(word):
            count, ended = count + 1, False
    return count
