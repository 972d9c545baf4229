"""Writes small archives of every shape for the tests of this folder."""

from __future__ import annotations

import gzip
import io

from spark_prox.sources.warc.archive import ArchiveRow, read_archive

__all__ = ["arc", "arc_record", "html", "http", "joined", "packed", "read", "record", "response", "texts", "wet"]

PAGE = "<html><head><title>t</title></head><body><h1>{0}</h1><p>Text of {0}.</p></body></html>"


def record(
    kind: str,
    block: bytes = b"",
    *,
    url: str | None = "http://a.test/",
    number: int = 1,
    length: int | None = None,
    **more: str,
) -> bytes:
    """A WARC record; `more` are headers with `_` for `-`, and `length` overrides the true one."""
    lines = [b"WARC/1.0", b"WARC-Type: " + kind.encode(), b"WARC-Record-ID: <urn:uuid:%04d>" % number]
    lines.append(b"WARC-Date: 2024-01-02T03:04:05Z")
    if url is not None:
        lines.append(b"WARC-Target-URI: " + url.encode())
    lines += [name.replace("_", "-").encode() + b": " + value.encode() for name, value in more.items()]
    lines.append(b"Content-Length: %d" % (len(block) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: str = "200 OK", mime: str = "text/html") -> bytes:
    """A stored HTTP response."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {mime}", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def html(word: str) -> bytes:
    return PAGE.format(word).encode()


def response(
    body: bytes, *headers: str, number: int = 1, status: str = "200 OK", mime: str = "text/html", **more: str
) -> bytes:
    """A response record."""
    block = http(body, *headers, status=status, mime=mime)
    return record("response", block, number=number, Content_Type="application/http; msgtype=response", **more)


def wet(count: int = 3, *, size: int = 40) -> list[bytes]:
    """A warcinfo record and `count` conversion records whose texts differ."""
    info = record("warcinfo", b"isPartOf: CC-MAIN-2024-10\r\n", url=None, number=0)
    made = [
        record(
            "conversion",
            f"Document {n}\n{'word ' * size}{n}".encode(),
            number=n,
            url=f"http://a.test/{n}",
            Content_Type="text/plain",
        )
        for n in range(1, count + 1)
    ]
    return [info, *made]


def arc_record(url: str, block: bytes, *, mime: str = "text/html", length: str | None = None) -> bytes:
    line = f"{url} 192.0.2.1 20050102030405 {mime} {len(block) if length is None else length}\n"
    return line.encode() + block + b"\n"


def arc(*records: bytes) -> bytes:
    """An ARC file."""
    version = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
    return arc_record("filedesc://a.arc", version, mime="text/plain") + b"\n" + b"".join(records)


def packed(records: list[bytes], shape: str = "members") -> bytes:
    """The records as a file: plain, one gzip member each, or one for all."""
    if shape == "members":
        return b"".join(gzip.compress(one, mtime=0) for one in records)
    return b"".join(records) if shape == "plain" else gzip.compress(b"".join(records), mtime=0)


def joined(*records: bytes) -> bytes:
    return b"".join(records)


def read(data: bytes, **limits: int) -> list[ArchiveRow]:
    return list(read_archive(io.BytesIO(data), **limits))  # type: ignore[arg-type]


def texts(rows: list[ArchiveRow]) -> list[str]:
    return [row.text for row in rows if row.text is not None]
