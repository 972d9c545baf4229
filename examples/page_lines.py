"""Example pages: reading them, their text as lines, and the 0/1 label of every line.

A page file is a whole HTML document behind a comment that says where and when it was "crawled" (`url`, `kind`,
`keep`, `language`, `captured`, `server`, and `charset` and `content-type` where they are not UTF-8's). Its main
content is marked with `data-gold` attributes; `data-gold="0"` takes a part out again.

Knows of spark_prox how a page becomes text; nothing of archives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from resiliparse.parse.html import DOMNode, ElementNode, HTMLTree, TextNode

from spark_prox.sources.page_text import tree_text

HEADER = re.compile(rb"\A<!-- page\n(.*?)-->\n", re.DOTALL)
GOLD_ATTRIBUTE = re.compile(rb'\s+data-gold(?:="[01]")?(?=[\s/>])')
GOLD_MARK = "\ue000"  # private use: no page contains it


@dataclass(frozen=True, kw_only=True)
class Page:
    """One example page: what its leading comment says, and its HTML with and without the gold marks."""

    name: str
    url: str
    kind: str
    keep: bool
    language: str
    captured: str
    server: str
    charset: str
    content_type: str
    marked_html: bytes
    html: bytes


def read_page(path: Path) -> Page:
    """Reads one page; raises ValueError where its leading comment is missing or wrong."""
    raw = path.read_bytes()
    header = HEADER.match(raw)
    if header is None:
        raise ValueError(f"{path.name}: no leading '<!-- page' comment")
    fields = dict(line.split(": ", 1) for line in header.group(1).decode("ascii").splitlines())
    if fields["keep"] not in ("true", "false"):
        raise ValueError(f"{path.name}: keep is {fields['keep']!r}, expected 'true' or 'false'")
    marked_html = raw[header.end() :]
    return Page(
        name=path.name,
        url=fields["url"],
        kind=fields["kind"],
        keep=fields["keep"] == "true",
        language=fields["language"],
        captured=fields["captured"],
        server=fields["server"],
        charset=fields.get("charset", "utf-8"),
        content_type=fields.get("content-type", "text/html; charset=utf-8"),
        marked_html=marked_html,
        html=GOLD_ATTRIBUTE.sub(b"", marked_html),
    )


def read_pages(folder: Path) -> list[Page]:
    """All pages of a folder, in the order in which they were captured."""
    return sorted((read_page(path) for path in folder.glob("*.html")), key=lambda page: page.captured)


def text_lines(html: str | HTMLTree) -> list[str]:
    """The whole visible text as the pipeline sees it, one block per line, no blank lines."""
    return tree_text(HTMLTree.parse(html) if isinstance(html, str) else html).split("\n")


def page_lines(page: Page) -> list[str]:
    return text_lines(page.html.decode(page.charset))


def gold_labels(page: Page) -> list[int]:
    """One 0/1 per line of `page_lines(page)`: 1 where at least half of the line's characters are marked.

    The marks go through the extractor itself: every marked word gets a private-use character in front, so that
    no text has to be matched afterwards. Raises ValueError where marking changed the division into lines.
    """
    tree = HTMLTree.parse(page.marked_html.decode(page.charset))
    if tree.document is not None:
        _mark_words(tree.document, marked=False)
    lines = text_lines(tree)
    if [line.replace(GOLD_MARK, "") for line in lines] != page_lines(page):
        raise ValueError(f"{page.name}: the marked and the plain page have different lines")
    return [int(_marked_share(line) >= 0.5) for line in lines]


def _mark_words(node: DOMNode, *, marked: bool) -> None:
    if isinstance(node, TextNode):
        if marked:
            node.value = re.sub(r"\S+", lambda word: GOLD_MARK + word.group(), node.value or "")
        return
    if isinstance(node, ElementNode) and node.hasattr("data-gold"):
        marked = node.getattr("data-gold") != "0"
    for child in list(node.child_nodes):
        _mark_words(child, marked=marked)


def _marked_share(line: str) -> float:
    words = line.split()
    marked = sum(len(word) for word in words if GOLD_MARK in word)
    return marked / sum(len(word) for word in words)
