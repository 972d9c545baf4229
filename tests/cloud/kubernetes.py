"""A stand-in for a cluster's API server: takes what Spark's own client sends, and starts nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["KubernetesApi", "kubernetes_api"]


@dataclass
class KubernetesApi:
    """A running one.

    Attributes:
        url: for `k8s://`.
        objects: what was made or applied, in order, as it was sent.
        asked: method and path of every request.
    """

    url: str = ""
    objects: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Objects of one kind."""
        return [made for made in self.objects if made.get("kind") == kind]


@contextmanager
def kubernetes_api() -> Iterator[KubernetesApi]:
    """Start it; it ends with the context."""
    api, closing = KubernetesApi(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api, closing))
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(api: KubernetesApi, closing: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            api.asked.append(("GET", parts.path))
            query = parse_qs(parts.query)
            if query.get("watch") == ["true"]:
                self.watch()
            elif parts.path.rsplit("/", 1)[-1] in ("pods", "configmaps", "services", "persistentvolumeclaims"):
                self.reply(200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []})
            else:
                self.reply(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def do_POST(self) -> None:
            self.made(201)

        def do_PATCH(self) -> None:
            self.made(200)

        def do_PUT(self) -> None:
            self.made(200)

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.asked.append(("DELETE", urlsplit(self.path).path))
            self.reply(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def made(self, status: int) -> None:
            sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            api.asked.append((self.command, urlsplit(self.path).path))
            api.objects.append(sent)
            known = {"uid": f"00000000-0000-0000-0000-{len(api.objects):012}", "resourceVersion": "1"}
            self.reply(status, {**sent, "metadata": {**sent.get("metadata", {}), **known}})

        def watch(self) -> None:
            """Nothing happens: an answer without an end."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            closing.wait(300)
            self.close_connection = True

        def reply(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    return Handler
