"""Gopher's quality rules (Rae et al., arXiv 2112.11446, appendix A.1.1, table A1), on words as FineWeb splits them."""

from __future__ import annotations

from spark_prox.heuristics.rules.page import TERMINAL, Broken, Page

__all__ = ["gopher_quality"]

_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_ELLIPSES = ("...", "…")
_BULLETS = ("•", "-")
# FineWeb's marks, so that both count the same words: other symbols, as bullets and currencies, are words to it.
_MARKS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»" + "".join(
    map(chr, [*range(9), 11, 12, *range(13, 32), *range(127, 160)])
)
_NO_WORD = _MARKS + "".join(TERMINAL)


def gopher_quality(page: Page) -> Broken | None:
    """The first rule that the page breaks."""
    total = len(page.words)
    real = characters = alphabetic = 0
    for word, count in page.counts.items():
        if word.isalpha():
            real += count
            characters += len(word) * count
            alphabetic += count
            continue
        if word.strip(_NO_WORD):
            real += count
            characters += len(word) * count
        if any(map(str.isalpha, word)):
            alphabetic += count
    if real < 50:
        return "SHORT", f"{real} words < 50"
    if real > 100_000:
        return "LONG", f"{real} words > 100000"
    mean = characters / real
    if not 3 <= mean <= 10:
        return "WORD_LENGTH", f"{mean:.3g} outside 3 to 10"
    text = page.text
    for name, symbols in (("HASHES", text.count("#")), ("ELLIPSES", sum(map(text.count, _ELLIPSES)))):
        if symbols / total > 0.1:
            return name, f"{symbols / total:.3g} a word > 0.1"
    lines = text.splitlines()
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines)
    if bullets > 0.9:
        return "BULLET_LINES", f"{bullets:.3g} > 0.9"
    cut = sum(line.rstrip().endswith(_ELLIPSES) for line in lines) / len(lines)
    if cut > 0.3:
        return "ELLIPSIS_LINES", f"{cut:.3g} > 0.3"
    if alphabetic / total < 0.8:
        return "ALPHABETIC_WORDS", f"{alphabetic / total:.3g} < 0.8"
    found = len(_STOP_WORDS & page.counts.keys())
    return ("STOP_WORDS", f"{found} < 2") if found < 2 else None
