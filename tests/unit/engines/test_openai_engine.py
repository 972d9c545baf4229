from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.openai_engine import OpenAIEngine
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer

KEEP, DROP = 300, 301
# First token of a prompt: the status, Retry-After, and how often it is given before an answer comes.
REFUSALS = {
    1: (503, None, 2),
    2: (400, None, 99),
    4: (429, "7", 1),
    5: (503, "86400", 1),
    6: (429, "2", 99),
    7: (307, None, 99),
}


class Server(BaseHTTPRequestHandler):
    """Answers by the first prompt token, see `REFUSALS`; counts connections and what runs at once."""

    protocol_version = "HTTP/1.1"  # connections stay open
    tokens: ClassVar[dict[str, str]] = {}
    refused: ClassVar[Counter[int]] = Counter()
    connections: ClassVar[set[object]] = set()
    running = 0
    most_running = 0
    lock = threading.Lock()
    bodies: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        with self.lock:
            Server.running += 1
            Server.most_running = max(Server.most_running, Server.running)
            Server.connections.add(self.client_address)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body)
        threading.Event().wait(0.05)  # no time.sleep: a test replaces it
        kind = body["prompt"][0]
        status, answer = (
            200,
            {"choices": [{"text": "keep_chunk()", "finish_reason": "stop"}], "usage": {"completion_tokens": 4}},
        )
        wait = None
        if kind in REFUSALS and self.refused[kind] < REFUSALS[kind][2]:
            status, wait, _ = REFUSALS[kind]
            self.refused[kind] += 1
        elif kind == 3:
            answer = {"error": "?"}  # type: ignore[dict-item]
        elif "logprobs" in body:
            answer["choices"][0]["logprobs"] = {"top_logprobs": [self.tokens]}  # type: ignore[index]
        data = json.dumps(answer).encode()
        with self.lock:  # before the answer goes out: the client may send its next request as soon as it has it
            Server.running -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if wait is not None:
            self.send_header("Retry-After", wait)
        if status == 307:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def engine(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIEngine]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tokenizer = load_tokenizer(str(tiny_llama))
    Server.tokens = {
        " " + tokenizer.decode([KEEP]).strip(): -0.25,
        tokenizer.decode([DROP]).strip(): -1.5,
        "other": -3.0,
    }
    Server.most_running = 0
    Server.bodies.clear()
    Server.refused.clear()
    Server.connections.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    engine = OpenAIEngine(ModelSpec(path=str(tiny_llama), engine="openai", base_url=url, max_in_flight=6, timeout_s=10))
    yield engine
    engine.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the engine would have slept between its attempts; it does not sleep."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        if str(sys._getframe(1).f_globals["__name__"]).startswith(("spark_prox", "urllib3")):
            slept.append(seconds)  # threads of other packages sleep too

    monkeypatch.setattr(time, "sleep", sleep)
    return slept


def generate(number: int, first: int = 9) -> Request:
    return Request(request_id=number, prompt_token_ids=(first, 10, 11), max_new_tokens=16)


def test_prompts_go_as_token_ids_and_many_at_once(engine: OpenAIEngine) -> None:
    answers = list(engine.complete([generate(n) for n in range(24)]))
    assert sorted(answer.request_id for answer in answers) == list(range(24))
    assert {answer.text for answer in answers} == {"keep_chunk()"}
    assert Server.bodies[0]["prompt"] == [9, 10, 11]
    assert Server.bodies[0]["temperature"] == 0
    assert 3 <= Server.most_running <= 6


def test_a_decision_is_read_from_the_log_probabilities(engine: OpenAIEngine) -> None:
    request = Request(request_id=5, prompt_token_ids=(9, 9), read_at=(1,), read_tokens=(KEEP, DROP))
    (answer,) = engine.complete([request])
    assert (answer.finish_reason, answer.margins) == ("read", (1.25,))


def test_a_token_that_the_server_does_not_rank_is_an_error_and_no_guess(engine: OpenAIEngine) -> None:
    request = Request(request_id=5, prompt_token_ids=(9, 9), read_at=(1,), read_tokens=(KEEP, 500))
    (answer,) = engine.complete([request])
    assert answer.error_code == "TOKEN_NOT_RANKED"


def test_connections_are_kept_for_the_next_requests(engine: OpenAIEngine) -> None:
    for start in (0, 12):
        assert len(list(engine.complete([generate(n) for n in range(start, start + 12)]))) == 12
    assert len(Server.bodies) == 24
    assert len(Server.connections) <= 6


def test_a_busy_server_is_asked_again(engine: OpenAIEngine, waits: list[float]) -> None:
    (answer,) = engine.complete([generate(1, first=1)])
    assert answer.text == "keep_chunk()"
    assert Server.refused[1] == 2
    assert [0.5 <= wait <= 1 for wait in waits] == [True]  # the first repeat comes at once


def test_a_server_is_left_alone_for_as_long_as_it_asks(engine: OpenAIEngine, waits: list[float]) -> None:
    (answer,) = engine.complete([generate(1, first=4)])
    assert (answer.text, waits) == ("keep_chunk()", [7])


def test_a_wait_is_bounded_whatever_the_server_asks(engine: OpenAIEngine, waits: list[float]) -> None:
    (answer,) = engine.complete([generate(1, first=5)])
    assert (answer.text, waits) == ("keep_chunk()", [60])


def test_a_server_that_stays_busy_is_given_up(engine: OpenAIEngine, waits: list[float]) -> None:
    (answer,) = engine.complete([generate(1, first=6)])
    assert (answer.error_code, answer.error_detail) == ("SERVER_REFUSED", "HTTP 429")
    assert (Server.refused[6], waits) == (4, [2, 2, 2])


def test_a_redirect_is_not_followed_because_it_could_take_the_key_elsewhere(engine: OpenAIEngine) -> None:
    (answer,) = engine.complete([generate(1, first=7)])
    assert (answer.error_code, answer.error_detail) == ("SERVER_REFUSED", "HTTP 307")
    assert Server.refused[7] == 1


def test_a_server_that_does_not_answer_in_time_is_a_row_with_a_code(tiny_llama: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        spec = ModelSpec(path=str(tiny_llama), engine="openai", base_url=url, timeout_s=0.05)
        (answer,) = OpenAIEngine(spec).complete([generate(1)])
    assert answer.error_code == "TIMEOUT"


def test_the_proxy_of_the_environment_is_used_unless_it_is_bypassed(
    engine: OpenAIEngine, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", engine._spec.base_url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for host, code in (("outside.test", None), ("127.0.0.1:9", "SERVER_UNREACHABLE")):
        spec = ModelSpec(path=str(tiny_llama), engine="openai", base_url=f"http://{host}/v1", timeout_s=2)
        (answer,) = OpenAIEngine(spec).complete([generate(1)])
        assert answer.error_code == code


def test_refusals_and_nonsense_are_rows_with_codes(engine: OpenAIEngine) -> None:
    answers = {a.request_id: a for a in engine.complete([generate(1, first=2), generate(2, first=3), generate(3)])}
    assert (answers[1].error_code, answers[1].error_detail) == ("SERVER_REFUSED", "HTTP 400")
    assert answers[2].error_code == "SERVER_ANSWER"
    assert answers[3].error_code is None


def test_a_server_that_is_not_there_is_a_row_with_a_code(tiny_llama: Path, waits: list[float]) -> None:
    spec = ModelSpec(path=str(tiny_llama), engine="openai", base_url="http://127.0.0.1:9/v1", timeout_s=2)
    (answer,) = OpenAIEngine(spec).complete([generate(1)])
    assert answer.error_code == "SERVER_UNREACHABLE"


def test_an_engine_without_a_url_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ModelError, match="OPENAI_NO_URL"):
        OpenAIEngine(ModelSpec(path=str(tiny_llama), engine="openai"))
