"""Reads an archive file into one row for every record and every broken stretch: the Spark data source's rows.

Unlike `archive`, which gives documents, it gives every record, whatever its type and status. A row whose head fails the
conditions is left out before its payload is looked at; payload and text are made only where their columns are asked
for. Knows neither Spark nor Arrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import BinaryIO, NamedTuple

from spark_prox.errors import RejectCode
from spark_prox.sources.charsets import declared_charset
from spark_prox.sources.conditions import Condition, Value, holds
from spark_prox.sources.media_types import may_be_text, media_type
from spark_prox.sources.warc.contents import ContentReader, block_type, response_of
from spark_prox.sources.warc.file_frames import file_frames
from spark_prox.sources.warc.framing import Frame, Gap
from spark_prox.sources.warc.http_message import HttpResponse, PayloadError, parse_response
from spark_prox.sources.warc.record_heads import RecordHead

__all__ = ["HEAD_COLUMNS", "RecordQuery", "RecordRow", "read_records", "unreadable_file"]

HEAD_COLUMNS = (
    *("record_id", "target_uri", "type", "digest", "http_status", "media_type", "charset", "language"),
    *("path", "position"),
)
"""Columns that conditions can name: they are known before a payload is read."""

HTTP_KINDS = ("response", "revisit")
PAGE_KINDS = ("response", "resource")
DATE = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,9}))?)?)?(?:Z|([+-])(\d\d):?(\d\d))?"
)


class RecordRow(NamedTuple):
    """A record of an archive, or a stretch of bytes that is none.

    Attributes:
        record_id: WARC-Record-ID without brackets; ARC records have none.
        target_uri: the address that was crawled.
        date: WARC-Date, or an ARC record's date; null where it is no date.
        type: WARC-Type in lower case; ARC records are `response`, their version block is `warcinfo`.
        digest: WARC-Payload-Digest, else WARC-Block-Digest, as written.
        http_status: of a stored HTTP response.
        media_type: of the HTTP response, else of the block, in lower case.
        charset: declared in that Content-Type; in lower case.
        language: WARC-Identified-Content-Language, else the response's Content-Language.
        text: the visible text of a page, or a text as it is; null where there is none.
        payload: the body without its transfer and content codings; the block of a record that is no response.
        warc_headers, http_headers: by name in lower case; of a repeated one the first.
        error: code of what is damaged.
        error_detail: the damage in words, without any content.
        path: the file.
        position: where the record starts in it: offset of its gzip member, or of its first byte as unpacked.
    """

    record_id: str | None = None
    target_uri: str | None = None
    date: datetime | None = None
    type: str | None = None
    digest: str | None = None
    http_status: int | None = None
    media_type: str | None = None
    charset: str | None = None
    language: str | None = None
    text: str | None = None
    payload: bytes | None = None
    warc_headers: dict[str, str] | None = None
    http_headers: dict[str, str] | None = None
    error: str | None = None
    error_detail: str | None = None
    path: str | None = None
    position: int | None = None


@dataclass(frozen=True, kw_only=True)
class RecordQuery:
    """What is asked of an archive.

    Attributes:
        columns: fields of `RecordRow` that are looked at; `text`, `payload` and the headers cost time.
        conditions: all of them hold for the rows that are given; each names one of `HEAD_COLUMNS`.
    """

    columns: frozenset[str] = frozenset(RecordRow._fields)
    conditions: tuple[Condition, ...] = field(default=())


def unreadable_file(query: RecordQuery, error: Exception, *, path: str) -> Iterator[RecordRow]:
    """The row of a file that could not be opened."""
    detail = f"cannot be opened: {type(error).__name__}"
    row = RecordRow(error=RejectCode.ARCHIVE_UNREADABLE.value, error_detail=detail, path=path, position=0)
    if _fits(row, query):
        yield row


def read_records(
    stream: BinaryIO, query: RecordQuery, contents: ContentReader, *, path: str, start: int = 0, stop: int | None = None
) -> Iterator[RecordRow]:
    """The rows of a file or of a byte range of it, in order; a broken archive gives rows with `error`.

    Args:
        stream: the file from its beginning, plain or packed.
        query: which rows and columns.
        contents: reads payloads and texts.
        path: what the rows say of where they are from.
        start, stop: see `file_frames`.
    """
    for item in file_frames(stream, max_block_bytes=contents.max_block_bytes, start=start, stop=stop):
        if isinstance(item, Gap):
            row = _gap_row(item, path)
            if _fits(row, query):
                yield row
            continue
        row, response = _head_row(item, path)
        if _fits(row, query):
            try:
                found = _content(item, response, query.columns, contents)
                yield row._replace(text=found.text, payload=found.payload)
            except PayloadError as error:
                yield row._replace(error=error.code.value, error_detail=error.detail)


def _fits(row: RecordRow, query: RecordQuery) -> bool:
    return all(holds(condition, _value(row, condition.column)) for condition in query.conditions)


def _value(row: RecordRow, column: str) -> Value:
    value: Value = getattr(row, column)
    return value


def _gap_row(gap: Gap, path: str) -> RecordRow:
    row = RecordRow(error=gap.code.value, error_detail=gap.detail, path=path, position=gap.position)
    return row if gap.head is None else _named(row, gap.head)


def _named(row: RecordRow, head: RecordHead) -> RecordRow:
    """The row with what the head of its record says."""
    headers = head.headers
    return row._replace(
        record_id=head.record_id,
        target_uri=head.url,
        date=_date(headers.get("warc-date", "")),
        type=head.kind or None,
        digest=headers.get("warc-payload-digest") or headers.get("warc-block-digest"),
        warc_headers=dict(headers),
    )


def _head_row(frame: Frame, path: str) -> tuple[RecordRow, HttpResponse | None]:
    """The columns that need no payload, and the stored HTTP response if there is one."""
    head, block = frame.head, frame.block
    response = parse_response(block.data) if head.kind in HTTP_KINDS else None
    declared = block_type(head) if response is None else response.headers.get("content-type", "")
    language = head.headers.get("warc-identified-content-language")
    if response is not None:
        language = language or response.headers.get("content-language")
    charset = declared_charset(declared)
    row = RecordRow(
        http_status=response.status if response else None,
        media_type=media_type(declared) or None,
        charset=charset.strip().lower() if charset else None,
        language=language or None,
        http_headers=dict(response.headers) if response else None,
        path=path,
        position=frame.position,
    )
    return _named(row, head), response


def _content(
    frame: Frame, response: HttpResponse | None, columns: frozenset[str], contents: ContentReader
) -> RecordRow:
    """A row with payload and text of a record, where they are asked for and there are any.

    Raises:
        PayloadError: the record is damaged, or they are over a limit.
    """
    head, block = frame.head, frame.block
    if block.flaw is not None:
        raise PayloadError(block.flaw, block.detail)
    if not head.kind:
        raise PayloadError(RejectCode.RECORD_BAD_HEADER, "the record has no WARC-Type")
    if head.kind in PAGE_KINDS and response is None:
        response = response_of(head, block.data)
    if not columns & {"text", "payload"} or head.kind == "revisit":
        return RecordRow()
    if "warc-segment-number" in head.headers:
        raise PayloadError(RejectCode.RECORD_UNREADABLE, "one segment of a segmented record")
    if response is not None:
        return _page(frame, response, columns, contents)
    if block.size > len(block.data):
        raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"record of {block.size} bytes")
    is_text = head.kind == "conversion" and media_type(block_type(head) or "text/plain") == "text/plain"
    text = _text_of(lambda: contents.conversion(block.data, block.size)) if is_text and "text" in columns else None
    return RecordRow(text=text, payload=block.data if "payload" in columns else None)


def _page(frame: Frame, response: HttpResponse, columns: frozenset[str], contents: ContentReader) -> RecordRow:
    """The same for a response or resource. An empty body is no damage here: a redirect has none."""
    declared = response.headers.get("content-type", "")
    mime = media_type(declared)
    wants_text = "text" in columns and may_be_text(mime)
    if not response.body or not (wants_text or "payload" in columns):
        return RecordRow(payload=b"" if "payload" in columns and not response.body else None)
    payload = contents.payload(frame.head, response, frame.block.data, frame.block.size)
    text = _text_of(lambda: contents.text(payload, mime, declared_charset(declared))[0]) if wants_text else None
    return RecordRow(text=text, payload=payload if "payload" in columns else None)


def _text_of(read: Callable[[], str]) -> str | None:
    """A text; "" for a page without any, None for a payload that turns out to be something else."""
    try:
        return read()
    except PayloadError as error:
        if error.code is RejectCode.EMPTY_TEXT:
            return ""
        if error.code is RejectCode.RECORD_NOT_TEXT:
            return None
        raise


def _date(written: str) -> datetime | None:
    """A W3C date of any precision (WARC) or the 14 digits of an ARC record, in UTC."""
    found = DATE.fullmatch(written.strip())
    if found is None:
        return None
    *numbers, fraction, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
        moment += timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
        return moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):
        return None
