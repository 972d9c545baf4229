"""A hub on this machine: as much of Hugging Face's API as the upload of small files asks for."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["LocalHub", "local_hub"]


class LocalHub:
    """What was pushed.

    Attributes:
        files: contents by repository and path.
        private: of repositories, by name.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.address = ""


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """Run a hub for a while."""
    hub = LocalHub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            """Quiet."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            path = urlsplit(self.path).path
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                if asked.get("type") != "dataset":
                    return self._answer(400, {"error": "a data set is wanted"})
                hub.private[name] = bool(asked.get("private") or asked.get("visibility") == "private")
                hub.files.setdefault(name, {})
                return self._answer(200, {"url": f"{hub.address}/datasets/{name}"})
            if path == "/api/validate-yaml":
                return self._answer(200, {"errors": [], "warnings": []})
            parts = path.strip("/").split("/")
            name = "/".join(parts[2:4])
            if parts[:2] != ["api", "datasets"] or name not in hub.files:
                return self._answer(404, {"error": "there is no such data set"})
            if parts[4] == "preupload":
                files = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                return self._answer(200, {"files": files})
            if parts[4] == "commit":
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        value = entry["value"]
                        assert value["encoding"] == "base64"
                        hub.files[name][value["path"]] = base64.b64decode(value["content"])
                oid = "0" * 40
                url = f"{hub.address}/datasets/{name}/commit/{oid}"
                return self._answer(200, {"success": True, "commitOid": oid, "commitUrl": url})
            return self._answer(404, {"error": "unknown"})

        def do_GET(self) -> None:
            name = "/".join(urlsplit(self.path).path.strip("/").split("/")[2:4])
            known = name in hub.files
            self._answer(200 if known else 404, {"id": name, "sha": "0" * 40, "siblings": []} if known else {})

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline().split(b";")[0], 16)
            data = self.rfile.read(size)
            self.rfile.readline()
            return data

        def _answer(self, status: int, value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
