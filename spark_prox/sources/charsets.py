"""Decodes the bytes of a page whose charset is named wrongly, or not at all.

Order: byte order mark, UTF-8 where the bytes are valid UTF-8 beyond ASCII (whatever is declared), the HTTP header,
the page's own meta tag, a guess from the bytes. Never fails: what cannot be decoded becomes U+FFFD. Knows nothing of
HTML beyond the meta tag.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["declared_charset", "decode_page"]

META_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,512}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE
)
HEADER_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
META_BYTES = 4096
GUESS_BYTES = 1 << 16
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# The encodings that pages mean when they name another (WHATWG Encoding Standard, section 4.2).
MEANT = {
    "iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252",
    "iso-8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932",
    "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932", "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949", "iso-8859-11": "cp874", "tis-620": "cp874", "big5": "big5hkscs", "x-euc-jp": "euc_jp",
    "utf8": "utf-8", "unicode": "utf-16", "x-mac-roman": "mac-roman", "macintosh": "mac-roman",
}  # fmt: skip
SEVEN_BIT = ("iso2022", "utf-16", "utf-7", "utf-32", "hz")


def declared_charset(content_type: str) -> str | None:
    """The charset parameter of a Content-Type header."""
    found = HEADER_CHARSET.search(content_type)
    return found[1] if found else None


def decode_page(payload: bytes, charset: str | None) -> str:
    """The text of a page.

    Args:
        payload: its bytes.
        charset: what the HTTP header declares, None if nothing.
    """
    for mark, name in MARKS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, "replace")
    meta = META_CHARSET.search(payload, 0, META_BYTES)
    declared = [c for c in (_codec(charset), _codec(meta[1].decode("ascii", "replace") if meta else None)) if c]
    if declared and declared[0].startswith(SEVEN_BIT):
        return payload.decode(declared[0], "replace")
    for name in ("utf-8", *declared):
        try:
            return payload.decode(name)
        except UnicodeDecodeError:
            continue
    return payload.decode(_guess(payload, declared), "replace")


def _codec(charset: str | None) -> str | None:
    """The codec for a charset's name, None for one that does not exist or is no character encoding."""
    if charset is None:
        return None
    label = charset.strip().lower().rstrip(".;")
    try:
        info = codecs.lookup(MEANT.get(label, label))
    except (LookupError, ValueError):
        return None
    text_codec = getattr(info, "_is_text_encoding", True)
    return (
        info.name
        if text_codec and info.name not in ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
        else None
    )


def _guess(payload: bytes, declared: list[str]) -> str:
    """The best of what is declared, UTF-8 and a guess: the one with the fewest undecodable bytes."""
    from resiliparse.parse.encoding import detect_encoding

    sample = payload[:GUESS_BYTES]
    names = [*declared, "utf-8", _codec(detect_encoding(sample)) or "cp1252"]
    return min(names, key=lambda name: sample.decode(name, "replace").count("\ufffd"))
