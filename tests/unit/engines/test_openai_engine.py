from __future__ import annotations

import json
import threading
import time
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


class Server(BaseHTTPRequestHandler):
    """Answers by the first prompt token: 1 fails twice, 2 refuses, 3 talks nonsense; counts what runs at once."""

    tokens: ClassVar[dict[str, str]] = {}
    failures = 0
    running = 0
    most_running = 0
    lock = threading.Lock()
    bodies: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        with self.lock:
            Server.running += 1
            Server.most_running = max(Server.most_running, Server.running)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body)
        time.sleep(0.05)
        kind = body["prompt"][0]
        status, answer = (
            200,
            {"choices": [{"text": "keep_chunk()", "finish_reason": "stop"}], "usage": {"completion_tokens": 4}},
        )
        if kind == 1 and Server.failures < 2:
            Server.failures += 1
            status = 503
        elif kind == 2:
            status = 400
        elif kind == 3:
            answer = {"error": "?"}  # type: ignore[dict-item]
        elif "logprobs" in body:
            answer["choices"][0]["logprobs"] = {"top_logprobs": [self.tokens]}  # type: ignore[index]
        data = json.dumps(answer).encode()
        with self.lock:  # before the answer goes out: the client may send its next request as soon as it has it
            Server.running -= 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def engine(tiny_llama: Path) -> Iterator[OpenAIEngine]:
    tokenizer = load_tokenizer(str(tiny_llama))
    Server.tokens = {
        " " + tokenizer.decode([KEEP]).strip(): -0.25,
        tokenizer.decode([DROP]).strip(): -1.5,
        "other": -3.0,
    }
    Server.failures = Server.most_running = 0
    Server.bodies.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    yield OpenAIEngine(ModelSpec(path=str(tiny_llama), engine="openai", base_url=url, max_in_flight=6, timeout_s=10))
    server.shutdown()
    thread.join()
    server.server_close()


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


def test_a_busy_server_is_asked_again(engine: OpenAIEngine) -> None:
    (answer,) = engine.complete([generate(1, first=1)])
    assert answer.text == "keep_chunk()"
    assert Server.failures == 2


def test_refusals_and_nonsense_are_rows_with_codes(engine: OpenAIEngine) -> None:
    answers = {a.request_id: a for a in engine.complete([generate(1, first=2), generate(2, first=3), generate(3)])}
    assert (answers[1].error_code, answers[1].error_detail) == ("SERVER_REFUSED", "HTTP 400")
    assert answers[2].error_code == "SERVER_ANSWER"
    assert answers[3].error_code is None


def test_a_server_that_is_not_there_is_a_row_with_a_code(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    spec = ModelSpec(path=str(tiny_llama), engine="openai", base_url="http://127.0.0.1:9/v1", timeout_s=2)
    (answer,) = OpenAIEngine(spec).complete([generate(1)])
    assert answer.error_code == "SERVER_UNREACHABLE"


def test_an_engine_without_a_url_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ModelError, match="OPENAI_NO_URL"):
        OpenAIEngine(ModelSpec(path=str(tiny_llama), engine="openai"))
