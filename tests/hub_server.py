"""A model hub on the loopback address: as much of the hub's HTTP API as huggingface_hub asks for, and a count of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

REPOSITORY = "prox/tiny-refiner"
COMMIT = "c0ffee" + "0" * 34
"""What `main` and the tag `v1` are."""


@dataclass
class Hub:
    """A running hub.

    Attributes:
        asked: requests by what they were for: "revision", "tree", or the name of a file that was sent.
        gated: refuse files, as the hub does to those who have not accepted a model's terms.
    """

    url: str
    asked: Counter[str] = field(default_factory=Counter)
    gated: bool = False


@contextmanager
def hub_of(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """A hub that has one model with these files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.hub, server.files = hub, files  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = urlsplit(self.path).path
        api = f"/api/models/{REPOSITORY}"
        if path.startswith(f"{api}/revision/"):
            self._revision(path.rpartition("/")[2])
        elif path == f"{api}/tree/{COMMIT}":
            self.server.hub.asked["tree"] += 1
            self._json([_entry(name, content) for name, content in self.server.files.items()])
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            self._file(path.partition(f"/resolve/{COMMIT}/")[2], body=body)
        else:
            self._refuse(404, "RepoNotFound")

    def _revision(self, revision: str) -> None:
        self.server.hub.asked["revision"] += 1
        if revision not in ("main", "v1", COMMIT):
            self._refuse(404, "RevisionNotFound")
            return
        files = [{"rfilename": name} for name in self.server.files]
        self._json({"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": files, "tags": []})

    def _file(self, name: str, *, body: bool) -> None:
        if self.server.hub.gated:
            self._refuse(403, "GatedRepo")
            return
        content = self.server.files.get(name)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        if body:
            self.server.hub.asked[name] += 1
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{_blob(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _json(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}


def _blob(content: bytes) -> str:
    """What git calls the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
