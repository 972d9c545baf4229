"""What the vLLM engine does around vLLM: requests in flight, late, refused and abandoned. vLLM itself is a stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.vllm_engine import VllmEngine


class StandIn:
    """vLLM's engine as this project uses it: finishes one request a step, the oldest first, but never number 13."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.most_held = 0

    def add_request(self, request_id: str, prompt: Any, parameters: Any, lora_request: Any = None) -> None:
        if request_id == "7":
            raise ValueError("the text of a page")
        assert request_id not in self.held
        self.held[request_id] = parameters
        self.most_held = max(self.most_held, len(self.held))

    def abort_request(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            del self.held[request_id]

    def step(self) -> list[Any]:
        done = next((request_id for request_id in self.held if request_id != "13"), None)
        if done is None:
            return []
        del self.held[done]
        answer = SimpleNamespace(token_ids=[1, 2], finish_reason="stop")
        return [SimpleNamespace(finished=True, request_id=done, outputs=[answer])]


def engine(**settings: Any) -> VllmEngine:
    """An engine whose model is never loaded."""
    made = object.__new__(VllmEngine)
    made._spec = ModelSpec(engine="vllm", max_in_flight=4, **settings)
    made._engine = StandIn()
    made._parameters = SimpleNamespace
    made._tokenizer = SimpleNamespace(decode_answer=lambda ids, **_: "keep_chunk()")  # type: ignore[assignment]
    made._adapter = None
    made._context_tokens = 100
    made._scores_prompt = False
    return made


def requests(count: int) -> Iterator[Request]:
    for number in range(count):
        yield Request(request_id=number, prompt_token_ids=(1,), max_new_tokens=5, program_lines=(3, 9))


def test_the_engine_is_kept_full_and_a_request_that_vllm_refuses_is_a_row() -> None:
    vllm = engine()
    answers = {c.request_id: c for c in vllm.complete(requests(12))}
    assert sorted(answers) == list(range(12))
    assert answers[7].error_code == "REQUEST_REFUSED"
    assert "page" not in (answers[7].error_detail or "")
    assert {c.text for number, c in answers.items() if number != 7} == {"keep_chunk()"}
    assert vllm._engine.most_held == 4


def test_a_request_that_is_never_done_is_given_up() -> None:
    vllm = engine(request_timeout_s=0.05)
    answers = {c.request_id: c for c in vllm.complete(requests(20))}
    assert answers[13].error_code == "TIMEOUT"
    assert len(answers) == 20
    assert vllm._engine.held == {}


def test_what_is_in_flight_when_the_caller_stops_is_dropped() -> None:
    vllm = engine()
    stream = vllm.complete(requests(10))
    next(stream)
    assert vllm._engine.held
    stream.close()  # type: ignore[attr-defined]
    assert vllm._engine.held == {}
    assert len(list(vllm.complete(requests(6)))) == 6  # the same ids again


@pytest.mark.parametrize(("constrain", "wanted"), [("grammar", {"program_lines": [3, 9]}), ("", None)])
def test_the_lines_that_a_program_may_name_go_with_the_request(constrain: Any, wanted: object) -> None:
    vllm = engine(constrain=constrain)
    stream = vllm.complete(requests(3))
    next(stream)
    (parameters, *_) = vllm._engine.held.values()
    assert getattr(parameters, "extra_args", None) == wanted


def test_an_engine_does_not_stand_still_for_the_next_request() -> None:
    class Slow:
        """The second request is never ready while the first is in flight."""

        def __init__(self) -> None:
            self.source = requests(2)
            self.blocked = False

        def __iter__(self) -> Slow:
            return self

        def ready(self) -> bool:
            return not vllm._engine.held

        def __next__(self) -> Request:
            self.blocked = self.blocked or bool(vllm._engine.held)
            return next(self.source)

    vllm = engine()
    slow = Slow()
    assert len(list(vllm.complete(slow))) == 2
    assert not slow.blocked
