"""Finds the charset that a page names in its own first bytes: the prescan of the HTML Standard.

Source: HTML Standard, 13.2.3.2 "prescan a byte stream to determine its encoding", with its reading of an XML
declaration. Comments, closing tags and other elements are passed over, so that `charset=` in a description or in a
comment counts for nothing. Knows labels as text only.
"""

from __future__ import annotations

import re

__all__ = ["charset_in", "prescan_label"]

PRESCAN_BYTES = 4096  # the Standard says 1024; crawled heads are longer
COMMENT_END = re.compile(rb"-->")
META_START = re.compile(rb"<meta[\s/]", re.IGNORECASE)
TAG_START = re.compile(rb"</?[A-Za-z]")
TAG_NAME_END = re.compile(rb"[\s>]")
XML_ENCODING = re.compile(
    rb"""<\?xml[^>]{0,256}?\bencoding\s{0,16}=\s{0,16}["']\s{0,16}([\x21-\x7e]{1,40}?)\s{0,16}["']"""
)
ATTRIBUTE = re.compile(
    rb"""[\s/]*(?P<name>=?[^\s/>=]+)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s>"'][^\s>]*)?))?"""
)
CHARSET = re.compile(r"""charset\s*=\s*(?:"\s*([^"]*)"|'\s*([^']*)'|([^\s;"']+))""", re.IGNORECASE)


def charset_in(content: str) -> str | None:
    """The charset parameter of a Content-Type, in a header or in a meta tag's `content`."""
    found = CHARSET.search(content)
    if found is None:
        return None
    return next(label for label in found.groups() if label is not None).strip() or None


def prescan_label(payload: bytes) -> str | None:
    """The label that the page's meta tag or XML declaration gives, None if it gives none."""
    data = payload[:PRESCAN_BYTES]
    at = data.find(b"<")
    while at >= 0:
        if data.startswith(b"<!--", at):
            # `<!-->` is a whole comment.
            end = COMMENT_END.search(data, at + 2)
            at = end.end() - 1 if end else len(data)
        elif META_START.match(data, at):
            label, at = _meta(data, at + len(b"<meta"))
            if label:
                return label
        elif TAG_START.match(data, at):
            at = _pass_tag(data, at)
        elif data.startswith((b"<!", b"</", b"<?"), at):
            found = data.find(b">", at)
            at = found if found >= 0 else len(data)
        at = data.find(b"<", at + 1)
    found_xml = XML_ENCODING.match(data.lstrip())
    return found_xml[1].decode("ascii") if found_xml else None


def _meta(data: bytes, at: int) -> tuple[str | None, int]:
    """The label of one meta tag, and where the tag ends."""
    attributes, at = _attributes(data, at)
    label = attributes.get("charset", "").strip()
    if not label and attributes.get("http-equiv", "").strip().lower() == "content-type":
        label = charset_in(attributes.get("content", "")) or ""
    return label or None, at


def _pass_tag(data: bytes, at: int) -> int:
    name_end = TAG_NAME_END.search(data, at)
    return _attributes(data, name_end.start())[1] if name_end else len(data)


def _attributes(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """Attributes from `at` to the end of the tag; of a repeated one the first."""
    found: dict[str, str] = {}
    while match := ATTRIBUTE.match(data, at):
        value = match["double"] or match["single"] or match["bare"] or b""
        found.setdefault(match["name"].decode("latin-1").lower(), value.decode("latin-1"))
        at = match.end()
    return found, at
