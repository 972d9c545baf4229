"""Reads what a record holds: the HTTP response, its payload without codings, its text.

The jobs and the Spark data source both read records with it; which records become rows is theirs to say. Knows nothing
of files and of framing.
"""

from __future__ import annotations

from collections.abc import Callable

from spark_prox.errors import RejectCode
from spark_prox.sources.charsets import is_utf_16
from spark_prox.sources.media_types import TextKind, may_be_text, media_type, text_kind
from spark_prox.sources.page_text import conversion_text, page_text, plain_text
from spark_prox.sources.warc.http_message import HttpResponse, PayloadError, parse_response, read_payload
from spark_prox.sources.warc.record_heads import RecordHead

__all__ = ["MAX_PAYLOAD_BYTES", "ContentReader", "HtmlToText", "block_type", "quoted_type", "response_of"]

MAX_PAYLOAD_BYTES = 32 << 20
LOOK_BYTES = 1 << 16
HtmlToText = Callable[[bytes, "str | None"], str]


def block_type(head: RecordHead) -> str:
    """The Content-Type of a record's block, as it is declared."""
    return head.headers.get("arc-content-type") or head.headers.get("content-type", "")


def response_of(head: RecordHead, block: bytes) -> HttpResponse:
    """The HTTP response of a record; of one that is stored without, its block as a payload.

    Raises:
        PayloadError: RECORD_HTTP_ERROR.
    """
    declared = block_type(head)
    if not block:
        raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "the record is empty")
    if head.kind == "response":
        response = parse_response(block)
        if response is not None:
            return response
        if media_type(declared) == "application/http":
            raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "no HTTP status line")
    return HttpResponse(status=200, headers={"content-type": declared}, body=block)


class ContentReader:
    """Payloads and texts of records, each within a limit.

    Args:
        max_text_chars: a longer text is TEXT_TOO_LARGE.
        max_payload_bytes: a longer page, stored or decompressed, is RECORD_TOO_LARGE.
        html_to_text: payload and declared charset to text; raises PayloadError where it gives up.
    """

    def __init__(
        self,
        *,
        max_text_chars: int,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        html_to_text: HtmlToText = page_text,
    ) -> None:
        self.max_text_chars = max_text_chars
        self.max_payload_bytes = max_payload_bytes
        self._html_to_text = html_to_text

    @property
    def max_block_bytes(self) -> int:
        """How much of a block has to be kept so that no content within the limits is cut."""
        return max(self.max_payload_bytes, 4 * self.max_text_chars)

    def conversion(self, block: bytes, size: int) -> str:
        """Text of a conversion to plain text.

        Args:
            block: what was kept of it.
            size: how many bytes it has.

        Raises:
            PayloadError: TEXT_TOO_LARGE, EMPTY_TEXT.
        """
        if size > len(block):
            raise PayloadError(RejectCode.TEXT_TOO_LARGE, f"{size} bytes of text")
        return self._checked(conversion_text(block))

    def payload(self, head: RecordHead, response: HttpResponse, block: bytes, size: int) -> bytes:
        """The body of a response without its codings; arguments as above.

        Raises:
            PayloadError: RECORD_HTTP_ERROR, RECORD_TOO_LARGE, RECORD_UNREADABLE.
        """
        if not response.body:
            raise PayloadError(RejectCode.RECORD_HTTP_ERROR, "the response has no payload")
        if size > len(block):
            raise PayloadError(RejectCode.RECORD_TOO_LARGE, f"record of {size} bytes")
        is_clipped = "warc-truncated" in head.headers
        return read_payload(response, max_bytes=self.max_payload_bytes, is_clipped=is_clipped)

    def text(self, payload: bytes, mime: str, charset: str | None) -> tuple[str, bool]:
        """Text of a payload, and whether it was HTML.

        Raises:
            PayloadError: RECORD_NOT_TEXT, RECORD_UNREADABLE, TEXT_TOO_LARGE, EMPTY_TEXT.
        """
        kind = None
        if may_be_text(mime):
            kind = text_kind(mime, payload[:LOOK_BYTES], is_utf_16=is_utf_16(payload, charset))
        if kind is None:
            raise PayloadError(RejectCode.RECORD_NOT_TEXT, f"media type {quoted_type(mime)}, other content")
        is_html = kind is TextKind.HTML
        read = self._html_to_text if is_html else plain_text
        return self._checked(read(payload, charset)), is_html

    def _checked(self, text: str) -> str:
        if len(text) > self.max_text_chars:
            raise PayloadError(RejectCode.TEXT_TOO_LARGE, f"{len(text)} characters")
        if not text or text.isspace():
            raise PayloadError(RejectCode.EMPTY_TEXT, "no visible text")
        return text


def quoted_type(mime: str) -> str:
    """A media type for a message."""
    return repr(mime) if mime else "not declared"
