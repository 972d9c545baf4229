"""Builds the example archives and their expected labels from `pages/*.html`.

Writes `pages.warc.gz` (request and response records, and beside them one revisit, one image and one 404),
`pages.warc.wet.gz` (conversion records, in the shape of Common Crawl's WET) and `expected.jsonl` (0/1 per line of
the WET text). The output depends on the pages, this file, `spark_prox.sources.page_text`, zlib and resiliparse alone:
no clock, no host name.

    python examples/build_archives.py [--out DIR]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import struct
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from page_lines import Page, gold_labels, page_lines, read_pages
from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
WARC_NAME, WET_NAME, EXPECTED_NAME = "pages.warc.gz", "pages.warc.wet.gz", "expected.jsonl"
CRAWL_STARTED = "2025-03-03T00:00:00Z"
CRAWL_INFO = {
    "isPartOf": "SPARK-PROX-EXAMPLES",
    "description": "Pages written for the spark_prox examples, on reserved host names; CC0",
    "software": "spark_prox examples/build_archives.py",
    "format": "WARC File Format 1.0",
}
HTTP_EXTRAS: dict[str, list[tuple[str, str]]] = {
    "nginx": [("Vary", "Accept-Encoding"), ("X-Crawler-Content-Encoding", "gzip")],
    "Apache/2.4.62 (Debian)": [("Accept-Ranges", "bytes"), ("ETag", '"5c1f-62e0a4c7"')],
    "Apache/1.3.42 (Unix)": [("Accept-Ranges", "bytes"), ("Connection", "close")],
    "LiteSpeed": [("X-Powered-By", "PHP/8.2.27"), ("Set-Cookie", "PHPSESSID=example; path=/; HttpOnly")],
    "edge-cache": [
        ("Cache-Control", "public, max-age=600"),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Cache", "HIT"),
        ("X-Crawler-Transfer-Encoding", "chunked"),
    ],
}
PIXEL_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
IMAGE_URL = "https://shop.northfell-tents.example/img/pixel.gif"
MISSING_URL = "https://www.harbour-gazette.example/news/2019/old-article"
MISSING_HTML = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"
REVISITED_PAGE = "faq.html"


def expected_row(page: Page) -> dict[str, str | bool | list[int]]:
    return {
        "url": page.url,
        "file": page.name,
        "kind": page.kind,
        "language": page.language,
        "keep": page.keep,
        "keep_lines": gold_labels(page),
    }


def record_id(kind: str, url: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {url}')}>"


def ip_address(url: str) -> str:
    """An address from a documentation range (RFC 5737), the same for every page of a host."""
    host = urlsplit(url).netloc
    return f"198.51.100.{1 + zlib.crc32(host.encode()) % 254}"


def sha1_digest(payload: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(payload).digest()).decode()


def gzip_member(data: bytes) -> bytes:
    """One gzip member whose header names no time, no file and no operating system."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    trailer = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + body + trailer


def warc_record(
    kind: str,
    url: str,
    headers: Mapping[str, str],
    payload: bytes,
    *,
    http: StatusAndHeaders | None = None,
    content_type: str = "",
) -> bytes:
    """One WARC record as bytes, not compressed; `headers` must hold the record's id and date."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    record = writer.create_warc_record(
        url,
        kind,
        payload=io.BytesIO(payload) if payload else None,
        length=len(payload),
        warc_content_type=content_type,
        warc_headers_dict={"WARC-Type": kind, **headers},
        http_headers=http,
    )
    writer.write_record(record)
    return buffer.getvalue()


def warcinfo(filename: str) -> bytes:
    headers = {
        "WARC-Record-ID": record_id("warcinfo", filename),
        "WARC-Date": CRAWL_STARTED,
        "WARC-Filename": filename,
    }
    fields = "".join(f"{name}: {value}\r\n" for name, value in CRAWL_INFO.items()) + "\r\n"
    return warc_record("warcinfo", "", headers, fields.encode())


def request(url: str, captured: str) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    http = StatusAndHeaders(
        f"GET {target} HTTP/1.1",
        [
            ("User-Agent", "examplebot/1.0 (+https://crawler.example/bot)"),
            ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("Accept-Language", "en-US,en;q=0.5"),
            ("Accept-Encoding", "gzip"),
            ("Host", parts.netloc),
            ("Connection", "Keep-Alive"),
        ],
        is_http_request=True,
    )
    headers = {
        "WARC-Record-ID": record_id("request", url),
        "WARC-Date": captured,
        "WARC-Concurrent-To": record_id("response", url),
        "WARC-Warcinfo-ID": record_id("warcinfo", WARC_NAME),
        "WARC-IP-Address": ip_address(url),
    }
    return warc_record("request", url, headers, b"", http=http)


def http_response(status: str, server: str, captured: str, content_type: str, length: int) -> StatusAndHeaders:
    date = datetime.strptime(captured, "%Y-%m-%dT%H:%M:%SZ")
    fields = [
        ("Date", date.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        ("Server", server),
        ("Content-Type", content_type),
        ("Content-Length", str(length)),
        *HTTP_EXTRAS[server],
    ]
    return StatusAndHeaders(status, fields, protocol="HTTP/1.1")


def response(url: str, captured: str, server: str, content_type: str, payload: bytes, status: str = "200 OK") -> bytes:
    headers = {
        "WARC-Record-ID": record_id("response", url),
        "WARC-Date": captured,
        "WARC-Warcinfo-ID": record_id("warcinfo", WARC_NAME),
        "WARC-IP-Address": ip_address(url),
        "WARC-Identified-Payload-Type": content_type.split(";", maxsplit=1)[0],
    }
    http = http_response(status, server, captured, content_type, len(payload))
    return warc_record("response", url, headers, payload, http=http)


def revisit(page: Page) -> bytes:
    """The same page seen again a day later, unchanged: headers and a pointer, no payload."""
    captured = _later(page.captured, hours=24)
    headers = {
        "WARC-Record-ID": record_id("revisit", page.url),
        "WARC-Date": captured,
        "WARC-Warcinfo-ID": record_id("warcinfo", WARC_NAME),
        "WARC-IP-Address": ip_address(page.url),
        "WARC-Profile": "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest",
        "WARC-Refers-To": record_id("response", page.url),
        "WARC-Refers-To-Target-URI": page.url,
        "WARC-Refers-To-Date": page.captured,
        "WARC-Payload-Digest": sha1_digest(page.html),
    }
    http = http_response("200 OK", page.server, captured, page.content_type, len(page.html))
    return warc_record("revisit", page.url, headers, b"", http=http)


def conversion(page: Page) -> bytes:
    text = "\n".join(page_lines(page)).encode()
    headers = {
        "WARC-Record-ID": record_id("conversion", page.url),
        "WARC-Date": page.captured,
        "WARC-Refers-To": record_id("response", page.url),
        "WARC-Identified-Content-Language": page.language,
    }
    return warc_record("conversion", page.url, headers, text, content_type="text/plain")


def warc_records(pages: Iterable[Page]) -> Iterator[bytes]:
    last = CRAWL_STARTED
    yield warcinfo(WARC_NAME)
    revisits: list[bytes] = []
    for page in pages:
        yield request(page.url, page.captured)
        yield response(page.url, page.captured, page.server, page.content_type, page.html)
        last = page.captured
        if page.name == REVISITED_PAGE:
            revisits.append(revisit(page))
    image_seen, missing_seen = _later(last, hours=1), _later(last, hours=2)
    yield request(IMAGE_URL, image_seen)
    yield response(IMAGE_URL, image_seen, "nginx", "image/gif", PIXEL_GIF)
    yield request(MISSING_URL, missing_seen)
    yield response(MISSING_URL, missing_seen, "edge-cache", "text/html; charset=utf-8", MISSING_HTML, "404 Not Found")
    yield from revisits


def _later(captured: str, *, hours: int) -> str:
    form = "%Y-%m-%dT%H:%M:%SZ"
    return (datetime.strptime(captured, form) + timedelta(hours=hours)).strftime(form)


def build(pages_folder: Path, out: Path) -> list[Page]:
    """Writes the two archives and the labels to `out`; returns the pages they hold."""
    pages = read_pages(pages_folder)
    (out / WARC_NAME).write_bytes(b"".join(map(gzip_member, warc_records(pages))))
    (out / WET_NAME).write_bytes(b"".join(map(gzip_member, [warcinfo(WET_NAME), *map(conversion, pages)])))
    rows = (json.dumps(expected_row(page), ensure_ascii=False) + "\n" for page in pages)
    (out / EXPECTED_NAME).write_bytes("".join(rows).encode())
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the example archives from examples/pages.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this file's)")
    out: Path = parser.parse_args().out
    pages = build(HERE / "pages", out)
    sizes = ", ".join(f"{name} {(out / name).stat().st_size:,} bytes" for name in (WARC_NAME, WET_NAME))
    sys.stdout.write(f"{len(pages)} pages: {sizes}\n")


if __name__ == "__main__":
    main()
