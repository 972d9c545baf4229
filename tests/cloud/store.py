"""An S3 store on this machine: `moto_server`, and in front of it a proxy that counts, throttles and knows keys.

The server has no opinion on who asks and none on how often; the proxy adds what the tests are about. It also makes a
conditional PUT atomic, as S3 does: the server looks and writes in two steps.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cloud.processes import CLOUD, background, free_port, wait_for

__all__ = ["KEY", "SECRET", "Asked", "Store", "s3_store"]

KEY, SECRET = "AKIATESTKEY", "a-secret-of-the-tests"
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_HOP = ("connection", "keep-alive", "transfer-encoding", "expect", "content-length")
_SERVER = "moto_server"


@dataclass(frozen=True)
class Asked:
    """One request: what it was (`PUT`, `PUT if absent`, `LIST`, `DELETE many`, …), for what, and the answer."""

    what: str
    bucket: str
    key: str
    status: int
    agent: str


@dataclass
class Store:
    """A running store.

    Attributes:
        url: of the proxy.
        asked: the requests so far.
        public: buckets that anybody may read.
        throttle_every: of so many requests one is answered 503 SlowDown; 0 for none.
        refused_agent: who has this in its user agent is refused.
        heeds_conditions: whether `If-None-Match` means anything.
    """

    upstream: int
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    public: set[str] = field(default_factory=set)
    throttle_every: int = 0
    refused_agent: str = ""
    heeds_conditions: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)
    conditional: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc

    def counts(self, since: int = 0) -> Counter[str]:
        """Requests by kind."""
        return Counter(request.what for request in self.asked[since:])

    def put(self, bucket: str, key: str = "", data: bytes = b"") -> None:
        """Make a bucket, or an object, past the proxy."""
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        connection.request("PUT", f"/{bucket}/{key}".rstrip("/"), body=data, headers=_authorization())
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == 200, answer.status

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket, past the proxy."""
        connection = HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        connection.request("GET", f"/{bucket}?list-type=2&prefix={prefix}", headers=_authorization())
        text = connection.getresponse().read().decode()
        connection.close()
        return [unquote(key) for key in re.findall(r"<Key>([^<]*)</Key>", text)]


def _authorization() -> dict[str, str]:
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, Signature=x"}


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """Start both; they end with the context."""
    port, log = free_port(), folder / "moto.log"
    server = CLOUD / "server" / "bin" / _SERVER
    with background([str(server), "-H", "127.0.0.1", "-p", str(port)], log, environment={"PYTHONPATH": ""}):
        wait_for(lambda: _answers(port), "the S3 server did not start", log, timeout_s=90)
        store = Store(port)
        proxy = _Proxy(("127.0.0.1", 0), _handler(store))
        store.url = f"http://127.0.0.1:{proxy.server_port}"
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            proxy.shutdown()
            proxy.server_close()
            thread.join()


def _answers(port: int) -> bool:
    with suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/moto-api/")
        found = connection.getresponse().status < 500
        connection.close()
        return found
    return False


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *args: object) -> None:
        """Quiet: who asked may be killed at any moment."""


def _handler(store: Store) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.upstream = HTTPConnection("127.0.0.1", store.upstream, timeout=120)

        def finish(self) -> None:
            self.upstream.close()
            with suppress(OSError):
                super().finish()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            bucket, key, what = _what(self.command, self.path, self.headers.get("If-None-Match") is not None)
            refused = self.refusal(bucket)
            if refused is None and what == "PUT if absent" and store.heeds_conditions:
                with store.conditional:
                    status = self.forward(body)
            elif refused is None:
                status = self.forward(body)
            else:
                status = self.refuse(*refused)
            store.asked.append(Asked(what, bucket, key, status, self.headers.get("User-Agent", "")))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - the names that http.server calls

        def refusal(self, bucket: str) -> tuple[int, str] | None:
            with store.lock:
                store.count += 1
                throttled = store.throttle_every and store.count % store.throttle_every == 0
            if throttled:
                return 503, "SlowDown"
            if store.refused_agent and store.refused_agent in self.headers.get("User-Agent", ""):
                return 403, "AccessDenied"
            who = _CREDENTIAL.search(self.headers.get("Authorization", ""))
            if who is None:
                allowed = bucket in store.public and self.command in ("GET", "HEAD")
                return None if allowed else (403, "AccessDenied")
            return None if who[1] == KEY else (403, "InvalidAccessKeyId")

        def refuse(self, status: int, code: str) -> int:
            text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)
            return status

        def forward(self, body: bytes) -> int:
            dropped = _HOP if store.heeds_conditions else (*_HOP, "if-none-match")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            headers.setdefault("Authorization", _authorization()["Authorization"])
            headers["Content-Length"] = str(len(body))
            self.upstream.request(self.command, self.path, body=body, headers=headers)
            answer = self.upstream.getresponse()
            data = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
            return answer.status

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler


def _what(method: str, target: str, conditional: bool) -> tuple[str, str, str]:
    """Bucket, key and kind of a request."""
    parts = urlsplit(target)
    bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    if method == "GET" and not key and "list-type" in query:
        return bucket, query.get("prefix", [""])[0], "LIST"
    if method == "POST" and "delete" in query:
        return bucket, key, "DELETE many"
    if "uploads" in query or "uploadId" in query:
        return bucket, key, f"{method} multipart"
    if not key:
        return bucket, key, f"{method} bucket"
    return bucket, key, "PUT if absent" if method == "PUT" and conditional else method
