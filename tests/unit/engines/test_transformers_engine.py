from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.packed import Segment
from spark_prox.engines.transformers_engine import TransformersEngine
from spark_prox.errors import ModelError
from spark_prox.programs import parse_program
from spark_prox.programs.ops import RemoveLines

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
    poison = Request(request_id=3, prompt_token_ids=(5, 6), read_at=(1,), read_tokens=(7, 99_999_999))
    asked = [read(1, 20), generate(2, 20), poison, read(4, 20)]
    answers = {c.request_id: c for c in engine.complete(asked)}
    assert answers[3].error_code == "ENGINE_ERROR"
    assert [answers[n].error_code for n in (1, 2, 4)] == [None] * 3
    assert answers[2].text == next(engine.complete([generate(2, 20)])).text


def test_a_step_that_does_not_fit_into_memory_is_halved(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, sizes = engine._model.hidden, []

    def small(segments: list[Segment]) -> object:
        sizes.append(len(segments))
        if len(segments) > 2:
            raise RuntimeError("CUDA error: out of memory")
        return hidden(segments)

    requests = [read(1, 20), generate(2, 20), generate(3, 9), read(4, 20), generate(5, 7)]
    expected = {c.request_id: (c.text, c.margins) for c in engine.complete(requests)}
    monkeypatch.setattr(engine._model, "hidden", small)
    answers = {c.request_id: c for c in engine.complete(requests)}
    assert [c.error_code for c in answers.values()] == [None] * 5
    assert max(sizes) == 5
    for number, (text, margins) in expected.items():
        assert answers[number].text == text
        assert answers[number].margins == pytest.approx(margins, abs=1e-4)


def test_an_error_that_takes_the_device_with_it_takes_the_engine_too(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(segments: list[Segment]) -> object:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(engine._model, "hidden", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        list(engine.complete([read(1, 20), read(2, 20)]))


def test_a_token_that_the_model_has_not_is_a_row_with_a_code(engine: TransformersEngine) -> None:
    request = Request(request_id=3, prompt_token_ids=(5, 99_999_999), max_new_tokens=4)
    (answer,) = engine.complete([request])
    assert answer.error_code == "TOKEN_UNKNOWN"


def test_a_request_that_takes_too_long_is_a_row_with_a_code(tiny_llama: Path) -> None:
    spec = ModelSpec(path=str(tiny_llama), engine="transformers", device="cpu", request_timeout_s=0.0)
    answers = {c.request_id: c for c in TransformersEngine(spec).complete([generate(1, 20), read(2, 9)])}
    assert answers[1].error_code == "TIMEOUT"
    assert answers[2].finish_reason == "read"


def test_requests_are_taken_while_others_are_decoded(engine: TransformersEngine) -> None:
    """The first read request, behind seven long programs, is answered before any of them is done."""
    order = [c.request_id for c in engine.complete([*(generate(n, 30) for n in range(6)), read(9, 10), read(10, 10)])]
    assert order[:2] == [9, 10]


def test_constrained_programs_are_valid_ones_of_their_chunk(tiny_llama: Path) -> None:
    spec = ModelSpec(path=str(tiny_llama), engine="transformers", device="cpu", constrain="grammar")
    requests = [replace(generate(n, 30), max_new_tokens=80, program_lines=(9, 14)) for n in range(12)]
    answers = list(TransformersEngine(spec).complete(requests))
    for answer in answers:
        program = parse_program(answer.text)
        assert not program.errors or answer.finish_reason == "length"
        removed = [op for op in program.program if isinstance(op, RemoveLines)]
        assert all(9 <= op.first <= op.last <= 14 for op in removed)
    assert any(answer.finish_reason == "stop" for answer in answers)


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
