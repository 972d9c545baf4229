"""The visible text of a page in the shape of the refiner's training data: one block a line, no blank lines.

The same call and the same folding as the derivation of the training pages, so that a model meets the shape it was
trained on; `page_tree` says what is done to the page before. Runs in the process that calls it; `contained` runs it
where a hostile page can do no harm. Knows nothing of HTTP.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spark_prox.sources.charsets import decode_page
from spark_prox.sources.line_hints import MARKS, LineHint, hinted_lines
from spark_prox.sources.page_tree import KEPT_BLANK, KEPT_LINE, KEPT_TAB, NO_TEXT_ELEMENTS, keep_lists, prepare_tree
from spark_prox.sources.xhtml import as_html, is_xhtml

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree

__all__ = ["conversion_text", "fold_lines", "hinted_text", "main_text", "page_text", "plain_text", "tree_text"]

WHITE_SPACE = re.compile(r"\s+")


def page_text(payload: bytes, charset: str | None) -> str:
    """The whole visible text of an HTML page.

    Args:
        payload: the page's bytes.
        charset: what its HTTP header declares.
    """
    return tree_text(_parsed(payload, charset))


def main_text(payload: bytes, charset: str | None) -> str:
    """The main content of an HTML page by resiliparse's rules, and its lists; arguments as above."""
    tree = _parsed(payload, charset)
    keep_lists(tree)
    return tree_text(tree, main_content=True)


def hinted_text(payload: bytes, charset: str | None) -> tuple[str, list[LineHint]]:
    """The text that `page_text` gives, and a hint for each of its lines; arguments as above."""
    return hinted_lines(_parsed(payload, charset), tree_text)


def _parsed(payload: bytes, charset: str | None) -> HTMLTree:
    from resiliparse.parse.html import HTMLTree

    page = decode_page(payload, charset)
    for mark in (KEPT_BLANK, KEPT_LINE, KEPT_TAB, *MARKS):
        page = page.replace(mark, "")
    return HTMLTree.parse(as_html(page) if is_xhtml(page) else page)


def tree_text(tree: HTMLTree, *, main_content: bool = False) -> str:
    """Text of a page that is parsed; changes the tree."""
    from resiliparse.extract.html2text import extract_plain_text

    prepare_tree(tree)
    text = extract_plain_text(
        tree,
        main_content=main_content,
        alt_texts=True,  # without it whole figures are left out; images have no text here
        links=False,
        form_fields=False,
        noscript=False,
        preserve_formatting=True,
        list_bullets=False,
        skip_elements=NO_TEXT_ELEMENTS,
    )
    return fold_lines(text)


def fold_lines(text: str) -> str:
    """White space of each line folded to single blanks, preformatted lines as they are; blank lines dropped."""
    text = text.replace(KEPT_LINE, "\n")
    lines = (WHITE_SPACE.sub(" ", line).strip() for line in text.split("\n"))
    if KEPT_BLANK in text or KEPT_TAB in text:
        lines = (line.replace(KEPT_BLANK, " ").replace(KEPT_TAB, "\t").rstrip() for line in lines)
    return "\n".join(line for line in lines if line)


def conversion_text(block: bytes) -> str:
    """Text of a WET record, which is UTF-8 by definition: but for CR line ends, NULs and outer blank lines as it is."""
    return _plain(block.decode("utf-8", "replace"))


def plain_text(payload: bytes, charset: str | None) -> str:
    """Text that is text already: decoded, line ends made "\\n", NULs and outer blank lines dropped."""
    return _plain(decode_page(payload, charset, is_html=False))


def _plain(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\n")
