"""The head of one WARC or ARC record: where it starts, what it says, how long its block is.

WARC heads are read leniently (LF line ends, folded lines, lines without a colon, URIs in angle brackets); ARC heads
are one line whose URL may hold spaces. Knows nothing of blocks or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ARC_LINE", "MAX_HEAD_BYTES", "RECORD_START", "RecordHead", "parse_arc_line", "parse_warc_head"]

MAX_HEAD_BYTES = 1 << 18
MAX_LENGTH_DIGITS = 12  # a longer block is a broken number, not a terabyte

# A WARC version line followed by a header line: what resynchronising looks for.
RECORD_START = re.compile(rb"(?:\A|(?<=\n))WARC/\d\.\d{1,3}[ \t]*\r?\n[A-Za-z][\w-]*[ \t]*:")

# `URL IP date type [more fields of version 2] length`; the URL and the type may hold spaces, the length may be wrong.
ARC_LINE = re.compile(
    rb"(?:\A|(?<=\n))(?P<url>[A-Za-z][\w+.-]{1,20}:[^\n]{0,4000}?) "
    rb"(?P<ip>\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]+|-) "
    rb"(?P<date>\w{1,24}) (?P<type>[^\n]{0,2000}?) (?P<length>-?\w+)[ \t]*\r?\n"
)


@dataclass(frozen=True, kw_only=True)
class RecordHead:
    """The content of a record's head.

    Attributes:
        kind: WARC-Type in lower case; ARC records are "response", their version block "warcinfo".
        headers: header names in lower case; of a repeated one the first.
        length: bytes of the block, None if the head has no usable length.
        is_arc: whether it is an ARC record, whose block may lack an HTTP head.
        has_cr: its lines end as they should, in CR LF.
    """

    kind: str
    headers: Mapping[str, str]
    length: int | None
    is_arc: bool = False
    has_cr: bool = False

    @property
    def url(self) -> str | None:
        """The target URI, without the angle brackets that some writers add."""
        uri = self.headers.get("warc-target-uri", "").strip()
        if uri.startswith("<") and uri.endswith(">"):
            uri = uri[1:-1].strip()
        return uri or None

    @property
    def record_id(self) -> str | None:
        """WARC-Record-ID without its angle brackets."""
        return self.headers.get("warc-record-id", "").strip().strip("<>").strip() or None


def parse_warc_head(head: bytes) -> RecordHead:
    """Read a WARC head: the version line and the header lines, without the blank line that ends it."""
    headers: dict[str, str] = {}
    name = ""
    for raw in head.split(b"\n")[1:]:
        line = _decode(raw.rstrip(b"\r"))
        if line[:1] in (" ", "\t"):
            if name:
                headers[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name:
            if name in headers:
                name = ""
            else:
                headers[name] = value.strip()
    return RecordHead(
        kind=headers.get("warc-type", "").lower(),
        headers=headers,
        length=_length(headers.get("content-length", "")),
        has_cr=b"\r\n" in head,
    )


def parse_arc_line(line: bytes) -> RecordHead | None:
    """Read an ARC record's line; None if it is none. A second field list (version 2) does not matter."""
    found = ARC_LINE.match(line if line.endswith(b"\n") else line + b"\n")
    if found is None:
        return None
    url = _decode(found["url"])
    mime = _decode(found["type"]).split(" ")[0]
    return RecordHead(
        kind="warcinfo" if url.startswith("filedesc:") else "response",
        headers={"warc-target-uri": url, "warc-date": _decode(found["date"]), "arc-content-type": mime},
        length=_length(_decode(found["length"])),
        is_arc=True,
    )


def _length(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= MAX_LENGTH_DIGITS else None


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
