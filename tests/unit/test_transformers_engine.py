from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_prox.engines.base import Request
from spark_prox.engines.spec import ModelSpec
from spark_prox.engines.transformers_engine import TransformersEngine
from spark_prox.errors import ModelError

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> TransformersEngine:
    return TransformersEngine(
        ModelSpec(path=str(tiny_llama), engine="transformers", device="cpu", max_batch_tokens=300, max_in_flight=7)
    )


def read(number: int, length: int, seed: int = 0) -> Request:
    ids = tuple(random.Random(seed * 1000 + number).choices(range(3, 400), k=length))
    return Request(request_id=number, prompt_token_ids=ids, read_at=(length // 2, length - 1), read_tokens=(7, 9))


def generate(number: int, length: int) -> Request:
    ids = tuple(random.Random(number).choices(range(3, 400), k=length))
    return Request(request_id=number, prompt_token_ids=ids, max_new_tokens=12)


def test_margins_are_the_models_log_probability_differences(engine: TransformersEngine, tiny_llama: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    requests = [read(n, 5 + 11 * n) for n in range(9)]
    got = {completion.request_id: completion for completion in engine.complete(requests)}
    assert sorted(got) == list(range(9))
    for request in requests:
        with torch.inference_mode():
            logits = model(torch.tensor([request.prompt_token_ids])).logits[0].log_softmax(-1)
        expected = [float(logits[p, 7] - logits[p, 9]) for p in request.read_at]
        assert got[request.request_id].margins == pytest.approx(expected, abs=1e-3)
        assert got[request.request_id].finish_reason == "read"


def test_a_batch_answers_what_each_request_alone_would(engine: TransformersEngine) -> None:
    requests = [generate(n, 4 + 9 * n) for n in range(8)]
    together = {c.request_id: c.text for c in engine.complete(requests)}
    alone = {r.request_id: next(engine.complete([r])).text for r in requests}
    assert together == alone
    assert any(together.values())


def test_a_request_over_the_context_is_a_row_with_a_code(engine: TransformersEngine) -> None:
    answers = {c.request_id: c for c in engine.complete([read(1, 600), read(2, 20), generate(3, 505)])}
    assert (answers[1].finish_reason, answers[1].error_code) == ("error", "PROMPT_TOO_LONG")
    assert answers[2].finish_reason == "read"
    assert answers[3].error_code == "PROMPT_TOO_LONG"


def test_a_request_that_breaks_the_model_is_found_and_the_others_are_answered(
    engine: TransformersEngine,
) -> None:
    poison = Request(request_id=3, prompt_token_ids=(5, 99_999_999), read_at=(1,), read_tokens=(7, 9))
    answers = {c.request_id: c for c in engine.complete([read(1, 20), read(2, 20), poison, read(4, 20)])}
    assert answers[3].error_code == "ENGINE_ERROR"
    assert [answers[n].finish_reason for n in (1, 2, 4)] == ["read"] * 3


def test_requests_are_pulled_a_window_at_a_time(engine: TransformersEngine) -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for n in range(20):
            pulled += 1
            yield read(n, 10)

    stream = engine.complete(requests())
    next(stream)
    assert pulled == 7
    assert len(list(stream)) == 19


def test_an_empty_prompt_is_a_row_with_a_code(engine: TransformersEngine) -> None:
    (answer,) = engine.complete([Request(request_id=0, prompt_token_ids=(), max_new_tokens=3)])
    assert answer.error_code == "PROMPT_EMPTY"


def test_a_directory_that_is_no_language_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="MODEL_UNLOADABLE"):
        TransformersEngine(ModelSpec(path=str(tmp_path)))
