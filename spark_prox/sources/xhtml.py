"""Rewrites XHTML so that an HTML parser reads it as its author meant it.

An HTML parser takes `<script/>` or `<title/>` for a start tag, and everything behind it for its content; to XML the
element ends there. Knows markup as text only.
"""

from __future__ import annotations

import re
from html import escape

__all__ = ["as_html", "is_xhtml"]

HEAD_CHARS = 2048
XHTML = re.compile(
    r"""<\?xml\s|<!doctype\s[^>]{0,200}\bxhtml\b|<html\b[^>]{0,1000}\bxmlns\s*=\s*["']http://www\.w3\.org/1999/xhtml""",
    re.IGNORECASE,
)
# Attribute lists are bounded, so that a page of open tags costs no more than its size.
ATTRIBUTES = r"""(?:[^<>"']|"[^"<]{0,2000}"|'[^'<]{0,2000}'){0,400}"""
SELF_CLOSED = re.compile(rf"<([A-Za-z][\w:.-]{{0,60}})((?:\s{ATTRIBUTES}?)?)\s?/>")
RAW_START = re.compile(rf"<(script|style)\b{ATTRIBUTES}(?<!/)>", re.IGNORECASE)
CDATA_START, CDATA_END = "<![CDATA[", "]]>"
VOID = frozenset(
    ("area", "base", "basefont", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param",
     "source", "track", "wbr")
)  # fmt: skip
FOREIGN = frozenset(("svg", "math", "path", "g", "use", "rect", "circle", "line", "polygon", "polyline", "ellipse"))


def is_xhtml(page: str) -> bool:
    """True if a page says that it is XHTML: by XML declaration, document type or namespace."""
    return XHTML.search(page, 0, HEAD_CHARS) is not None


def as_html(page: str) -> str:
    """The page with empty elements closed by tags of their own and character data escaped."""
    parts = []
    lower = page.lower() if len(page.lower()) == len(page) else page
    at = 0
    while raw := RAW_START.search(page, at):
        end = lower.find(f"</{raw[1].lower()}", raw.end())
        end = len(page) if end < 0 else end
        parts += [_rewritten(page[at : raw.start()]), page[raw.start() : end]]
        at = end
    return "".join([*parts, _rewritten(page[at:])])


def _rewritten(markup: str) -> str:
    if CDATA_START in markup:
        first, *sections = markup.split(CDATA_START)
        parts = [section.partition(CDATA_END) for section in sections]
        markup = first + "".join(escape(text, quote=False) + rest for text, _, rest in parts)
    return SELF_CLOSED.sub(_closed, markup) if "/>" in markup else markup


def _closed(found: re.Match[str]) -> str:
    name = found[1].lower()
    if name in VOID or name in FOREIGN:
        return found[0]
    return f"<{found[1]}{found[2]}></{found[1]}>"
