"""Decodes the bytes of a page by the HTML Standard: byte order mark, HTTP header, the page's own label, detection.

Labels are those of the WHATWG Encoding Standard. One thing is read otherwise: bytes that are valid UTF-8 beyond doubt
are UTF-8 whatever is declared, because crawled headers lie. Bytes that a declared charset does not know become
U+FFFD and do not change the charset. Never fails. Knows nothing of HTML beyond what `meta_prescan` knows.
"""

from __future__ import annotations

import codecs
import re

import webencodings  # type: ignore[import-untyped]

from spark_prox.sources.jis import JIS_CODECS, JIS_ERRORS
from spark_prox.sources.meta_prescan import charset_in, prescan_label

__all__ = ["declared_charset", "decode_page", "is_utf_16"]

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Python's codecs for the decoders of the Standard, where name or repertoire differ.
CODECS = {
    "gbk": "gb18030", "big5": "big5hkscs", "euc-kr": "cp949", "shift_jis": "cp932", "iso-2022-jp": "iso2022_jp_ext",
    "euc-jp": "euc_jp", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "windows-874": "cp874",
    "iso-8859-8-i": "iso8859-8", "macintosh": "mac-roman", "x-mac-cyrillic": "mac-cyrillic",
}  # fmt: skip
# Browsers refuse these, because they hide scripts; a corpus wants their text.
REPLACED = {"hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr", "csiso2022kr": "iso2022_kr"}
UTF_16 = ("utf-16-le", "utf-16-be")
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ESCAPED = ("iso2022_jp_ext", "iso2022_kr", "hz")  # their bytes are ASCII, so they are valid UTF-8
JIS_ESCAPES = (b"\x1b$B", b"\x1b$@")
WIDE = re.compile(rb"[\xe0-\xf7][\x80-\xbf]{2}")
NARROW = re.compile(rb"[\xc2-\xdf][\x80-\xbf]")
CLEAR_PAIRS = 8
"""So many two-byte sequences of valid UTF-8 are no accident in a text of another charset."""

FEW_BYTES = 8
"""So many bytes that are not UTF-8 do not make a page that is declared as UTF-8 another one."""

RAW_ELEMENT = re.compile(rb"<(script|style)\b", re.IGNORECASE)
HANGUL = re.compile("[\uac00-\ud7a3]")
STRIP_BYTES = 1 << 20
DETECT_BYTES = 1 << 16


def declared_charset(content_type: str) -> str | None:
    """The charset parameter of a Content-Type header."""
    return charset_in(content_type)


def decode_page(payload: bytes, charset: str | None, *, is_html: bool = True) -> str:
    """The text of a page.

    Args:
        payload: its bytes.
        charset: what the HTTP header declares, None if nothing.
        is_html: a label in a meta tag counts.
    """
    for mark, name in MARKS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, "replace")
    header = _codec(charset)
    if header in UTF_16:
        header = header if b"\0" in payload[:4096] or not payload.isascii() else None
    own = _own_label(payload) if is_html else None
    found = header or _utf_16_of(payload) or own or _escaped(payload)
    if found in UTF_16 or (found in ESCAPED and (payload.isascii() or not _is_utf_8(payload))):
        return _decoded(payload, found)
    if found is None or found == "utf-8":
        return _decode_utf_8(payload, declared=found is not None, own=own)
    if _is_clearly_utf_8(payload):
        return payload.decode("utf-8")
    return _decoded(payload, found)


def _decoded(payload: bytes, codec: str) -> str:
    return payload.decode(codec, JIS_ERRORS if codec in JIS_CODECS else "replace")


def is_utf_16(payload: bytes, charset: str | None) -> bool:
    """True if NULs in the payload may be halves of characters."""
    return payload.startswith(UTF_16_MARKS) or _codec(charset) in UTF_16 or _utf_16_of(payload) is not None


def _codec(label: str | None) -> str | None:
    """Python's codec for a label of the Encoding Standard, None for one that is not in it."""
    if label is None:
        return None
    name = label.strip("\t\n\f\r ").lower()
    if name in REPLACED:
        return REPLACED[name]
    encoding = webencodings.lookup(name)
    if encoding is None or encoding.name == "replacement":
        return None
    if encoding.name == "x-user-defined":
        return "cp1252"  # what the Standard says for a meta tag
    return CODECS.get(encoding.name, str(encoding.name))


def _own_label(payload: bytes) -> str | None:
    """The codec that the page names itself. A label that could be read byte by byte cannot be UTF-16."""
    codec = _codec(prescan_label(payload))
    return "utf-8" if codec in UTF_16 else codec


def _utf_16_of(payload: bytes) -> str | None:
    """UTF-16 without a mark, told by a tag at the start."""
    start = payload[:64].lstrip(b" \t\r\n\0")[:4]
    if len(start) < 4 or b"\0" not in payload[:8]:
        return None
    first = payload[:4]
    if first[0] and not first[1] and first[2] and not first[3]:
        return "utf-16-le"
    return "utf-16-be" if not first[0] and first[1] and not first[2] and first[3] else None


def _escaped(payload: bytes) -> str | None:
    """ISO-2022-JP that nobody declares, told by its escapes: no other text has them."""
    return "iso2022_jp_ext" if any(mark in payload for mark in JIS_ESCAPES) and payload.isascii() else None


def _is_utf_8(payload: bytes) -> bool:
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_clearly_utf_8(payload: bytes) -> bool:
    if payload.isascii() or not _is_utf_8(payload):
        return False
    if WIDE.search(payload):
        return True
    return sum(1 for _ in zip(NARROW.finditer(payload), range(CLEAR_PAIRS), strict=False)) == CLEAR_PAIRS


def _decode_utf_8(payload: bytes, *, declared: bool, own: str | None) -> str:
    """UTF-8 where the bytes are that, or nearly; else what the page or detection says."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        text = payload.decode("utf-8", "replace")
    whole = len(WIDE.findall(payload)) + len(NARROW.findall(payload))
    broken = text.count("\ufffd")
    if whole > 4 * broken or (declared and (whole >= broken or broken <= FEW_BYTES)):
        return text
    return _decoded(payload, own if own and own != "utf-8" else _detect(payload))


def _detect(payload: bytes) -> str:
    """The charset of the bytes between the tags, by resiliparse; the Standard's default where it says nothing."""
    from resiliparse.parse.encoding import detect_encoding

    sample = _between_tags(payload[:STRIP_BYTES])
    if sample.isascii():
        sample = payload[:STRIP_BYTES]
    first = re.search(rb"[\x80-\xff]", sample)
    begin = max((first.start() if first else 0) - 64, 0)
    name = detect_encoding(sample[begin : begin + DETECT_BYTES]) or ""
    try:
        guess = codecs.lookup(CODECS.get(name, name)).name
    except LookupError:
        return "cp1252"
    return guess if guess not in (*UTF_16, "utf-8") else "cp949" if _is_korean(sample) else "cp1252"


def _between_tags(data: bytes) -> bytes:
    """The bytes outside of tags, comments, scripts and style sheets, in one pass."""
    parts = []
    lower = data.lower()
    at = 0
    while (start := data.find(b"<", at)) >= 0:
        parts.append(data[at:start])
        raw = RAW_ELEMENT.match(data, start)
        end = b"-->" if data.startswith(b"<!--", start) else b"</" + raw[1].lower() if raw else b">"
        found = lower.find(end, start + 1)
        at = found + len(end) if found >= 0 else len(data)
    parts.append(data[at:])
    return b" ".join(parts)


def _is_korean(sample: bytes) -> bool:
    """True if most letters beyond ASCII are Hangul; resiliparse does not tell EUC-KR."""
    text = sample.decode("cp949", "replace")
    beyond = sum(not character.isascii() for character in text)
    return len(HANGUL.findall(text)) > beyond // 2 and text.count("\ufffd") * 50 <= beyond
