"""Reads one WARC, WET or ARC file into rows: a document, or a reject with its code.

One row for every record that claims to be a document (conversion, response, resource, revisit) and for every broken
stretch; warcinfo, request and metadata records (WAT files are those) give none. Knows nothing of Spark, and of file
systems only that a file is a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from spark_prox.errors import RejectCode
from spark_prox.sources.charsets import declared_charset
from spark_prox.sources.media_types import may_be_text, media_type
from spark_prox.sources.page_text import page_text
from spark_prox.sources.warc.contents import (
    MAX_PAYLOAD_BYTES,
    ContentReader,
    HtmlToText,
    quoted_type,
    response_of,
)
from spark_prox.sources.warc.file_frames import file_frames
from spark_prox.sources.warc.framing import Frame, Gap
from spark_prox.sources.warc.http_message import PayloadError
from spark_prox.sources.warc.record_heads import RecordHead

__all__ = ["ArchiveRow", "read_archive"]

NO_DOCUMENTS = ("warcinfo", "request", "metadata", "continuation")
DOCUMENTS = ("response", "resource", "conversion", "revisit")
CRAWL_NAME = re.compile(rb"(?im)^isPartOf:[ \t]*([^\r\n]{1,200})")


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
        is_page: the text was made of HTML.
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
    is_page: bool = False
    reject_code: RejectCode | None = None
    reject_detail: str | None = None


def read_archive(
    stream: BinaryIO,
    *,
    max_text_chars: int = 20_000_000,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    html_to_text: HtmlToText = page_text,
) -> Iterator[ArchiveRow]:
    """Rows of one archive, in order; a broken archive gives rejects and never an exception.

    Args:
        stream: the file, plain or packed; read once, forward.
        max_text_chars: a longer text is TEXT_TOO_LARGE.
        max_payload_bytes: a longer page, stored or decompressed, is RECORD_TOO_LARGE.
        html_to_text: payload and declared charset to text; raises PayloadError where it gives up.
    """
    contents = ContentReader(
        max_text_chars=max_text_chars, max_payload_bytes=max_payload_bytes, html_to_text=html_to_text
    )
    reader = _Reader(contents)
    for item in file_frames(stream, max_block_bytes=contents.max_block_bytes):
        row = reader.gap(item) if isinstance(item, Gap) else reader.frame(item)
        if row is not None:
            yield row


class _Reader:
    """Turns frames into rows; keeps the name of the crawl from one record to the next."""

    def __init__(self, contents: ContentReader) -> None:
        self._contents = contents
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
            mime, text, is_page = self._text(head, block.data, block.size)
        except PayloadError as error:
            return self._row(frame.position, head, code=error.code, detail=error.detail)
        if text is None:
            return None
        return self._row(frame.position, head, mime=mime, text=text, is_page=is_page)

    def _text(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None, bool]:
        """Media type and text of a record, and whether it was HTML; the text is None if it is no document after all."""
        if not head.kind:
            raise PayloadError(RejectCode.RECORD_BAD_HEADER, "the record has no WARC-Type")
        if head.kind == "revisit":
            raise PayloadError(RejectCode.RECORD_REVISIT, "the payload is in another record")
        if "warc-segment-number" in head.headers:
            raise PayloadError(RejectCode.RECORD_UNREADABLE, "one segment of a segmented record")
        if head.kind == "conversion":
            return self._conversion(head, block, size)
        if (head.url or "").startswith("metadata:"):
            return "", None, False
        return self._page(head, block, size)

    def _conversion(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None, bool]:
        mime = media_type(head.headers.get("content-type", "text/plain"))
        if mime != "text/plain":
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"conversion to {quoted_type(mime)}")
        return mime, self._contents.conversion(block, size), False

    def _page(self, head: RecordHead, block: bytes, size: int) -> tuple[str, str | None, bool]:
        """A response or resource: HTTP head off, codings off, HTML to text."""
        response = response_of(head, block)
        declared = response.headers.get("content-type", "")
        mime = media_type(declared)
        if not may_be_text(mime):
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"media type {quoted_type(mime)}")
        if not 200 <= response.status < 300:
            raise PayloadError(RejectCode.RECORD_HTTP_STATUS, f"HTTP status {response.status}")
        payload = self._contents.payload(head, response, block, size)
        return mime, *self._contents.text(payload, mime, declared_charset(declared))

    def _row(
        self,
        position: int,
        head: RecordHead | None,
        *,
        text: str | None = None,
        mime: str | None = None,
        is_page: bool = False,
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
            is_page=is_page,
            reject_code=code,
            reject_detail=detail,
        )
