"""The visible text of a page in the shape of the refiner's training data: one block a line, no blank lines.

The same call and the same folding as the derivation of the training pages, so that a model meets the shape it was
trained on. Runs in the process that calls it; `contained` runs it where a hostile page can do no harm. Knows nothing
of HTTP.
"""

from __future__ import annotations

import re

from spark_prox.sources.charsets import decode_page

__all__ = ["conversion_text", "fold_lines", "page_text", "plain_text"]

WHITE_SPACE = re.compile(r"\s+")


def page_text(payload: bytes, charset: str | None) -> str:
    """Text of an HTML page.

    Args:
        payload: the page's bytes.
        charset: what its HTTP header declares.
    """
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(
        decode_page(payload, charset),
        main_content=False,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        preserve_formatting=True,
        list_bullets=False,
    )
    return fold_lines(text)


def fold_lines(text: str) -> str:
    """White space of each line folded to single blanks, blank lines dropped."""
    lines = (WHITE_SPACE.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def conversion_text(block: bytes) -> str:
    """Text of a WET record, which is UTF-8 by definition: but for CR line ends, NULs and outer blank lines as it is."""
    return _plain(block.decode("utf-8", "replace"))


def plain_text(payload: bytes, charset: str | None) -> str:
    """Text that is text already: decoded, line ends made "\\n", NULs and outer blank lines dropped."""
    return _plain(decode_page(payload, charset))


def _plain(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\n")
