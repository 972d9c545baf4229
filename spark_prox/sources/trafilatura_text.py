"""The text of a page as FineWeb made it: trafilatura with its settings there.

Precision before recall, no comments, no repeated paragraphs. Unlike there, a page's text does not depend on the pages
before it: what trafilatura remembers of them is forgotten. Knows nothing of HTTP.
"""

from __future__ import annotations

from spark_prox.sources.charsets import decode_page

__all__ = ["trafilatura_text"]


def trafilatura_text(payload: bytes, charset: str | None) -> str:
    """Text of an HTML page: a line for each paragraph, list item (`- `), row of cells (`|`) and preformatted line.

    Args:
        payload: the page's bytes.
        charset: what its HTTP header declares.
    """
    from trafilatura import extract
    from trafilatura.deduplication import LRU_TEST

    LRU_TEST.clear()
    text = extract(
        decode_page(payload, charset),
        favor_precision=True,
        include_comments=False,
        deduplicate=True,
        include_images=False,
    )
    lines = (line.rstrip() for line in (text or "").split("\n"))
    return "\n".join(line for line in lines if line)
