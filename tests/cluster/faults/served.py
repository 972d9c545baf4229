"""A served model that outlives every process that asks it: it answers by the prompt alone, and counts.

Its counts are the only ones that no killed process can lose: how much was generated twice is read from them.
"""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from spark_prox.models import load_tokenizer
from tests.tiny_models import llama2_style_tokenizer

__all__ = ["ServedModel", "served_model"]

_LINE = re.compile(r"\[(\d{3,})\]")


class ServedModel:
    """What the server has seen.

    Attributes:
        asked: requests answered since the start.
        delay_s: how long an answer takes; what makes a run long enough to be killed in the middle.
        settings: what a run's configuration needs to ask it.
    """

    def __init__(self, folder: Path, delay_s: float) -> None:
        self.asked = 0
        self.delay_s = delay_s
        self.settings: tuple[str, ...] = ()
        self._lock = threading.Lock()
        llama2_style_tokenizer().save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
        (folder / "config.json").write_text('{"bos_token_id": 1}', encoding="utf-8")
        self._tokenizer = load_tokenizer(str(folder))

    def answer(self, prompt: list[int], max_tokens: int) -> str | None:
        """A program that depends on the prompt alone; None for a prompt that the model cannot take."""
        with self._lock:
            self.asked += 1
            text = self._tokenizer.decode(prompt)
        chance = zlib.crc32(json.dumps(prompt).encode())
        time.sleep(self.delay_s)
        if chance % 37 == 0:
            return None
        if max_tokens <= 8:
            return "keep_doc()" if chance % 7 else "drop_doc()"
        numbers = [int(number) for number in _LINE.findall(text)]
        if not numbers or chance % 11 == 1:
            return "untouch_doc()"
        first = numbers[chance % len(numbers)]
        return f"remove_lines(start={first}, end={min(first + chance % 3, numbers[-1])})"


@contextmanager
def served_model(folder: Path, *, delay_s: float) -> Iterator[ServedModel]:
    """Serve completions on a port of this machine; the folder gets what a run needs of the model: its tokenizer."""
    model = ServedModel(folder, delay_s)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = model.answer(body["prompt"], body["max_tokens"])
            data = json.dumps({"choices": [{"text": text, "finish_reason": "stop"}]}).encode()
            try:
                self.send_response(400 if text is None else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except ConnectionError:
                self.close_connection = True  # who asked was killed

        def log_message(self, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Quiet: who asked may be killed at any moment."""

    server = Server(("127.0.0.1", 0), Handler)
    model.settings = (
        f"model.path={folder}",
        f"model.base_url=http://127.0.0.1:{server.server_port}/v1",
        "model.engine=openai",
        "model.revision=1",
        "model.max_in_flight=2",
        "doc.decide=generate",
        "chunk.max_chunk_tokens=700",
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
