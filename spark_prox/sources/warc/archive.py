"""Reads one WARC, WET or ARC file into rows: a document, or a reject with its code.

One row for every record that claims to be a document (conversion, response, resource, revisit) and for every broken
stretch; warcinfo, request and metadata records (WAT files are those) give none. Knows nothing of Spark, and of file
systems only that a file is a stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.charsets import declared_charset, is_utf_16
from spark_prox.sources.media_types import TextKind, may_be_text, media_type, text_kind
from spark_prox.sources.page_text import conversion_text, page_text, plain_text
from spark_prox.sources.unpacking import PackedError, unpacked
from spark_prox.sources.warc.archive_bytes import ArchiveBytes
from spark_prox.sources.warc.framing import Frame, Gap, iterate_frames
from spark_prox.sources.warc.http_message import HttpResponse, PayloadError, parse_response, read_payload
from spark_prox.sources.warc.record_heads import RecordHead

__all__ = ["ArchiveRow", "read_archive"]

NO_DOCUMENTS = ("warcinfo", "request", "metadata", "continuation")
DOCUMENTS = ("response", "resource", "conversion", "revisit")
CRAWL_NAME = re.compile(rb"(?im)^isPartOf:[ \t]*([^\r\n]{1,200})")
MAX_PAYLOAD_BYTES = 32 << 20
LOOK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class ArchiveRow:
    """A document of an archive, or what stands in its place.

    Attributes:
        position: where its record starts (see `ArchiveBytes.position`).
        record_id: WARC-Record-ID without brackets; ARC records have none.
        url: the target URI.
        text: None for a reject.
        crawl: `isPartOf` of the last warcinfo record.
        crawled_at: WARC-Date as written; ARC: its digits.
        mime_type: media type of the payload, in lower case.
        reject_code: None for a document.
        reject_detail: why, without any content.
    """

    position: int
    record_id: str | None = None
    url: str | None = None
    text: str | None = None
    crawl: str | None = None
    crawled_at: str | None = None
    mime_type: str | None = None
    reject_code: RejectCode | None = None
    reject_detail: str | None = None


def read_archive(
    stream: BinaryIO,
    *,
    max_text_chars: int = 20_000_000,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    html_to_text: Callable[[bytes, str | None], str] = page_text,
) -> Iterator[ArchiveRow]:
    """Rows of one archive, in order; a broken archive gives rejects and never an exception.

    Args:
        stream: the file, plain or packed; read once, forward.
        max_text_chars: a longer text is TEXT_TOO_LARGE.
        max_payload_bytes: a longer page, stored or decompressed, is RECORD_TOO_LARGE.
        html_to_text: payload and declared charset to text; raises PayloadError where it gives up.
    """
    data: ArchiveBytes | None = None
    try:
        data = ArchiveBytes(unpacked(stream))
        if not data.fill(1) and not data.gzipped:
            fault = data.fault
            code = RejectCode.ARCHIVE_UNREADABLE if fault else RejectCode.ARCHIVE_TRUNCATED
            yield _reject(0, code, fault.detail if fault else "the file is empty")
            return
        reader = _Reader(max_text_chars, max_payload_bytes, html_to_text)
        is_empty = True
        for item in iterate_frames(data, max_block_bytes=max(max_payload_bytes, 4 * max_text_chars)):
            is_empty = False
            row = reader.gap(item) if isinstance(item, Gap) else reader.frame(item)
            if row is not None:
                yield row
        if is_empty:
            yield _reject(0, RejectCode.ARCHIVE_CORRUPT, "the file holds blank bytes only")
    except PackedError as error:
        yield _reject(0, RejectCode.ARCHIVE_UNREADABLE, error.detail)
    except OSError as error:
        position = data.position if data else 0
        yield _reject(position, RejectCode.ARCHIVE_UNREADABLE, f"reading the file failed: {type(error).__name__}")


class _Reader:
    """The state that goes from one record to the next: the limits and the name of the crawl."""

    def __init__(
        self, max_text_chars: int, max_payload_bytes: int, html_to_text: Callable[[bytes, str | None], str]
    ) -> None:
        self._max_text_chars = max_text_chars
        self._max_payload_bytes = max_payload_bytes
        self._html_to_text = html_to_text
        self._crawl: str | None = None

    def gap(self, gap: Gap) -> ArchiveRow:
        return self._row(gap.position, gap.head, code=gap.code, detail=gap.detail)

    def frame(self, frame: Frame) -> ArchiveRow | None:
        head, block = frame.head, frame.block
        if head.kind not in DOCUMENTS and head.kind:
            if head.kind == "warcinfo":
                found = CRAWL_NAME.search(block.data)
                self._crawl = found[1].decode("utf-8", "replace").strip() if found else None
            harmless = block.flaw is None or (block.flaw is RejectCode.RECORD_BAD_LENGTH and not block.passed)
            return None if harmless else self._row(frame.position, None, code=block.flaw, detail=block.detail)
        try:
            if block.flaw is not None:
                raise PayloadError(block.flaw, block.detail)
            mime, text = self._text(head, block.data, block.size)
        except PayloadError as error:
            return self._row(frame.position, head, code=error.code, detail=error.detail)
        if text is None:
            return None
        return self._row(frame.position, head, mime=mime, text=text)

    def _text(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None]:
        """Media type and text of a record; the text is None if it is no document after all."""
        if not head.kind:
            raise PayloadError(RejectCode.RECORD_BAD_HEADER, "the record has no WARC-Type")
        if head.kind == "revisit":
            raise PayloadError(RejectCode.RECORD_REVISIT, "the payload is in another record")
        if "warc-segment-number" in head.headers:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, "one segment of a segmented record")
        if head.kind == "conversion":
            return self._conversion(head, block, size)
        if (head.url or "").startswith("metadata:"):
            return "", None
        return self._page(head, block, size)

    def _conversion(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None]:
        mime = media_type(head.headers.get("content-type", "text/plain"))
        if mime != "text/plain":
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"conversion to {_quoted(mime)}")
        if size > len(block):
            raise PayloadError(RejectCode.TEXT_TOO_LARGE, f"{size} bytes of text")
        return mime, self._checked(conversion_text(block))

    def _page(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None]:
        """A response or resource: HTTP head off, codings off, HTML to text."""
        response = self._response(head, block)
        mime = media_type(response.headers.get("content-type", ""))
        if not may_be_text(mime):
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"media type {_quoted(mime)}")
        if not 200 <= response.status < 300:
            raise PayloadError(RejectCode.RECORD_HTTP_STATUS, f"HTTP status {response.status}")
        if not response.body:
            raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "the response has no payload")
        if size > len(block):
            raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"record of {size} bytes")
        is_clipped = "warc-truncated" in head.headers
        payload = read_payload(response, max_bytes=self._max_payload_bytes, is_clipped=is_clipped)
        charset = declared_charset(response.headers.get("content-type", ""))
        kind = text_kind(mime, payload[:LOOK_BYTES], is_utf_16=is_utf_16(payload, charset))
        if kind is None:
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"media type {_quoted(mime)}, other content")
        read = self._html_to_text if kind is TextKind.HTML else plain_text
        return mime, self._checked(read(payload, charset))

    def _response(self, head: RecordHead, block: bytes) -> HttpResponse:
        """The HTTP response of a record; of one that is stored without, its block as a payload."""
        declared = head.headers.get("arc-content-type") or head.headers.get("content-type", "")
        if not block:
            raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "the record is empty")
        if head.kind == "response":
            response = parse_response(block)
            if response is not None:
                return response
            if media_type(declared) == "application/http":
                raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "no HTTP status line")
        return HttpResponse(status=200, headers={"content-type": declared}, body=block)

    def _checked(self, text: str) -> str:
        if len(text) > self._max_text_chars:
            raise PayloadError(RejectCode.TEXT_TOO_LARGE, f"{len(text)} characters")
        if not text or text.isspace():
            raise PayloadError(RejectCode.EMPTY_TEXT, "no visible text")
        return text

    def _row(
        self,
        position: int,
        head: RecordHead | None,
        *,
        text: str | None = None,
        mime: str | None = None,
        code: RejectCode | None = None,
        detail: str | None = None,
    ) -> ArchiveRow:
        return ArchiveRow(
            position=position,
            record_id=head.record_id if head else None,
            url=head.url if head else None,
            text=text,
            crawl=self._crawl,
            crawled_at=(head.headers.get("warc-date") if head else None),
            mime_type=mime,
            reject_code=code,
            reject_detail=detail,
        )


def _reject(position: int, code: RejectCode, detail: str) -> ArchiveRow:
    return ArchiveRow(position=position, reject_code=code, reject_detail=detail)


def _quoted(mime: str) -> str:
    return repr(mime) if mime else "not declared"
