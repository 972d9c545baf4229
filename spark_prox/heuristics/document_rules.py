"""Published rules that keep or drop whole documents: C4's page rules, Gopher's and FineWeb's quality filters.

Each takes the lines of a document and names the first rule that it breaks, None where it breaks none. Words are
separated by white space, so that the rules need no tokenizer of any language. Knows no program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

__all__ = ["DocumentRule", "c4_page_rules", "fineweb_quality", "gopher_quality"]

DocumentRule = Callable[[Sequence[str]], str | None]

_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*(?:\s|$)")
# Full stops of the larger scripts: FineWeb counts the terminal punctuation of all languages.
_TERMINAL = tuple(".!?\"'”’。！？…؟۔।")
_ELLIPSES = ("...", "…")


def c4_page_rules(lines: Sequence[str]) -> str | None:
    """C4's rules for pages (arXiv 1910.10683, section 2.2): five sentences, no placeholder text, no code.

    Sentences are counted on lines that end one, since C4 drops the others first. The list of bad words is left out.
    """
    text = "\n".join(lines)
    if "lorem ipsum" in text.lower():
        return "lorem ipsum"
    if "{" in text:
        return "curly bracket"
    sentences = sum(len(_SENTENCE_END.findall(line)) for line in lines if line.rstrip().endswith(_TERMINAL))
    return "fewer than 5 sentences" if sentences < 5 else None


def gopher_quality(lines: Sequence[str]) -> str | None:
    """Gopher's quality filter (arXiv 2112.11446, appendix A.1)."""
    text = "\n".join(lines)
    words = text.split()
    real = [word for word in words if any(character.isalnum() for character in word)]
    if not 50 <= len(real) <= 100_000:
        return "50 to 100,000 words"
    if not 3 <= sum(map(len, real)) / len(real) <= 10:
        return "mean word length of 3 to 10"
    if max(text.count("#"), sum(map(text.count, _ELLIPSES))) / len(words) > 0.1:
        return "symbols to words"
    written = [line.strip() for line in lines if line.strip()]
    if sum(line.startswith(("•", "-")) for line in written) > 0.9 * len(written):
        return "bullet points"
    if sum(line.endswith(_ELLIPSES) for line in written) > 0.3 * len(written):
        return "lines that end in an ellipsis"
    if sum(any(map(str.isalpha, word)) for word in words) < 0.8 * len(words):
        return "words without a letter"
    return None if len(_STOP_WORDS.intersection(words)) >= 2 else "two stop words"


def fineweb_quality(lines: Sequence[str]) -> str | None:
    """FineWeb's own filters (arXiv 2406.17557, section 3.5), with the thresholds of its released pipeline."""
    written = [line for line in lines if line.strip()]
    if not written:
        return "empty"
    if sum(line.endswith(_TERMINAL) for line in written) < 0.12 * len(written):
        return "lines with final punctuation"
    if sum(len(line) <= 30 for line in written) > 0.67 * len(written):
        return "short lines"
    if sum(map(len, written)) - sum(map(len, dict.fromkeys(written))) > 0.01 * sum(map(len, lines)):
        return "repeated lines"
    words = sum(len(line.split()) for line in written)
    return "newlines to words" if len(lines) - 1 > 0.3 * words else None
