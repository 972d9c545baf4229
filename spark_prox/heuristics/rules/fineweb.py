"""FineWeb's own rules (Penedo et al., arXiv 2406.17557, section 3.5), with the thresholds of its released pipeline."""

from __future__ import annotations

from spark_prox.heuristics.rules.page import TERMINAL, Broken, Page, repeated

__all__ = ["fineweb_rules"]


def fineweb_rules(page: Page) -> Broken | None:
    """The first rule that the page breaks."""
    text = page.text
    lines = [line for line in text.split("\n") if line.strip()]
    ended = sum(line.endswith(TERMINAL) for line in lines) / len(lines)
    if ended < 0.12:
        return "LINE_ENDS", f"{ended:.3g} < 0.12"
    short = sum(len(line) <= 30 for line in lines) / len(lines)
    if short > 0.67:
        return "SHORT_LINES", f"{short:.3g} > 0.67"
    breaks = text.count("\n")
    again = repeated(lines)[1] / (len(text) - breaks)
    if again > 0.01:
        return "DUPLICATE_LINES", f"{again:.3g} > 0.01"
    share = breaks / len(page.words)
    return ("LINE_BREAKS", f"{share:.3g} a word > 0.3") if share > 0.3 else None
