"""Which payloads are text: by media type, and by their first bytes where the type is missing or lies.

Knows the text types that become documents; XML feeds, scripts and style sheets are not among them.
"""

from __future__ import annotations

import re
from enum import Enum

__all__ = ["TextKind", "may_be_text", "media_type", "text_kind"]

HTML_TYPES = ("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml", "text/x-html")
PLAIN_TYPES = ("text/plain", "text/markdown", "text/x-markdown")
UNTYPED = (
    "",
    "unknown/unknown",
    "application/octet-stream",
    "application/unknown",
    "unk",
    "no-type",
    "content/unknown",
)
BINARY_START = re.compile(
    rb"%PDF-|\x89PNG|GIF8|\xff\xd8\xff|PK\x03\x04|\x1f\x8b|Rar!|BM.{4}\0\0\0\0|RIFF....WEBP|ID3|OggS|\0\0\0.ftyp|\0asm|wOF[F2]",
    re.DOTALL,
)
HTML_START = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|div|p|table|h1)\b",
    re.IGNORECASE | re.DOTALL,
)


class TextKind(str, Enum):
    """How a payload becomes text."""

    HTML = "HTML"
    PLAIN = "PLAIN"


def may_be_text(mime: str) -> bool:
    """Whether payloads of this media type can be text at all."""
    return mime in HTML_TYPES or mime in PLAIN_TYPES or mime in UNTYPED


def media_type(content_type: str) -> str:
    """`text/html` of `Text/HTML; charset=x`."""
    return content_type.partition(";")[0].partition(",")[0].strip().strip("\"'").lower()[:100]


def text_kind(mime: str, start: bytes) -> TextKind | None:
    """How to read a payload, None if it is not text.

    Args:
        mime: its media type as declared, "" if not.
        start: its first kilobyte.
    """
    if BINARY_START.match(start):
        return None
    if mime in HTML_TYPES:
        return TextKind.HTML
    if mime in PLAIN_TYPES:
        return TextKind.HTML if HTML_START.match(start) and b"<!doctype html" in start[:200].lower() else TextKind.PLAIN
    if mime in UNTYPED and HTML_START.match(start):
        return TextKind.HTML
    return None
