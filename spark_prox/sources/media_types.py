"""Which payloads are text: by media type, and by their first bytes where the type is missing or lies.

Knows the text types that become documents; XML feeds, scripts and style sheets are not among them. Bytes that are no
text are told by their signature, and without one by their control characters (compare WHATWG MIME Sniffing, 7.2).
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
    rb"""\s*(?:%PDF-|%!PS-Adobe)|
    \x89PNG|GIF8|\xff\xd8\xff|BM.{4}\0\0\0\0|RIFF....(?:WEBP|AVI\ |WAVE)|II\*\0|MM\0\*|8BPS|\0\0[\1\2]\0|
    PK[\3\5\7][\4\6\10]|\x1f\x8b|Rar!|7z\xbc\xaf|\xfd7zXZ|BZh\d1AY|\x28\xb5\x2f\xfd|MSCF\0|
    ID3[\2-\4]|OggS\0|fLaC\0|\0\0\0.ftyp|\x1aE\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]|[CFZ]WS[\1-\x30]....|
    \0asm|wOF[F2]|OTTO\0|\0\x01\0\0|true\0|ttcf\0|
    \x7fELF|MZ[^\t\n\r -~]|\xca\xfe\xba\xbe|\xd0\xcf\x11\xe0|SQLite\ format\ 3\0|PAR1[\0-\x1f]""",
    re.DOTALL | re.VERBOSE,
)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
HTML_START = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|div|p|table|h1)\b",
    re.IGNORECASE | re.DOTALL,
)

FEW_CONTROLS, MAX_CONTROL_SHARE = 3, 0.02


class TextKind(str, Enum):
    """How a payload becomes text."""

    HTML = "HTML"
    PLAIN = "PLAIN"


def may_be_text(mime: str) -> bool:
    """True if payloads of this media type can be text at all."""
    return mime in HTML_TYPES or mime in PLAIN_TYPES or _is_untyped(mime)


def media_type(content_type: str) -> str:
    """`text/html` of `Text/HTML; charset=x`."""
    return content_type.partition(";")[0].partition(",")[0].strip().strip("\"'").lower()[:100]


def text_kind(mime: str, start: bytes, *, is_utf_16: bool = False) -> TextKind | None:
    """How to read a payload, None if it is not text.

    Args:
        mime: its media type as declared, "" if not.
        start: its first bytes.
        is_utf_16: its NULs are halves of characters.
    """
    if not is_utf_16 and _is_binary(start):
        return None
    if mime in HTML_TYPES:
        return TextKind.HTML
    if mime in PLAIN_TYPES:
        return TextKind.HTML if HTML_START.match(start) and b"<!doctype html" in start[:200].lower() else TextKind.PLAIN
    if _is_untyped(mime) and HTML_START.match(start):
        return TextKind.HTML
    return None


def _is_untyped(mime: str) -> bool:
    """True for what says nothing, and for what is no media type: `html`."""
    return mime in UNTYPED or "/" not in mime


def _is_binary(start: bytes) -> bool:
    if BINARY_START.match(start):
        return True
    if HTML_START.match(start):
        return False
    return len(CONTROL.findall(start)) > max(FEW_CONTROLS, MAX_CONTROL_SHARE * len(start))
