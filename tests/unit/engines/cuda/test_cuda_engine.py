"""The GPU engine on the CPU: what it computes and how it schedules; kernels and graphs have their plain twins here."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.cuda import engine as engine_module
from spark_prox.engines.cuda.build import cuda_engine
from spark_prox.engines.cuda.engine import CudaEngine
from spark_prox.engines.loading import load_causal_model
from spark_prox.engines.transformers_engine import TransformersEngine

pytestmark = pytest.mark.model


def spec(path: Path, **changed: Any) -> ModelSpec:
    settings = {"max_batch_tokens": 300, "max_in_flight": 17, "max_decoding": 5, **changed}
    return ModelSpec(path=str(path), engine="transformers", device="cpu", **settings)


def build(path: Path, **changed: Any) -> CudaEngine:
    wanted = spec(path, **changed)
    made = cuda_engine(wanted, load_causal_model(wanted))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> CudaEngine:
    return build(tiny_llama)


def requests(count: int, seed: int = 0) -> list[Request]:
    """Reads and programs of all lengths, mixed."""
    rng, made = random.Random(seed), []
    for number in range(count):
        ids = tuple(rng.choices(range(3, 400), k=rng.randrange(2, 120)))
        if number % 3:
            made.append(Request(request_id=number, prompt_token_ids=ids, max_new_tokens=rng.choice([1, 5, 12, 30])))
        else:
            at = (len(ids) // 2, len(ids) - 1)
            made.append(Request(request_id=number, prompt_token_ids=ids, read_at=at, read_tokens=(7, 9)))
    return made


def free(engine: CudaEngine) -> tuple[Any, ...]:
    return sorted(engine._seats._free), list(engine._cache._free), dict(engine._seats.active)


def test_it_answers_what_the_engine_on_transformers_layers_answers(engine: CudaEngine, tiny_llama: Path) -> None:
    asked, before = requests(40), free(engine)
    expected = {c.request_id: c for c in TransformersEngine(spec(tiny_llama)).complete(asked)}
    got = {c.request_id: c for c in engine.complete(asked)}
    assert got.keys() == expected.keys()
    for number, completion in got.items():
        assert replace(completion, margins=()) == replace(expected[number], margins=())
        assert completion.margins == pytest.approx(expected[number].margins, abs=1e-4)
    assert free(engine) == before


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_running_ahead_changes_no_answer(engine: CudaEngine, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requests(20, seed=1)
    expected = {c.request_id: c.text for c in engine.complete(asked)}
    monkeypatch.setattr(engine, "_ahead", ahead)
    assert {c.request_id: c.text for c in engine.complete(asked)} == expected


def test_a_stop_token_ends_a_program(engine: CudaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    (request,) = [r for r in requests(3) if r.max_new_tokens][:1]
    longer = replace(request, max_new_tokens=30)
    (whole,) = engine.complete([longer])
    assert whole.finish_reason == "length"
    hidden: list[int] = []
    write = engine._write
    monkeypatch.setattr(engine, "_write", lambda s, t: hidden.extend(t) or write(s, t))
    list(engine.complete([longer]))
    monkeypatch.setattr(engine, "_write", write)
    third = hidden[2]
    monkeypatch.setattr(engine, "_stop_ids", frozenset({third}))
    (cut,) = engine.complete([longer])
    assert (cut.finish_reason, cut.output_tokens) == ("stop", hidden.index(third) + 1)
    assert whole.text.startswith(cut.text)


def test_requests_that_cannot_be_computed_are_rows_with_a_code(engine: CudaEngine) -> None:
    asked = [
        Request(request_id=0, prompt_token_ids=(), max_new_tokens=3),
        Request(request_id=1, prompt_token_ids=(5,) * 600, read_at=(1,)),
        Request(request_id=2, prompt_token_ids=(5,) * 505, max_new_tokens=9),
        Request(request_id=3, prompt_token_ids=(5, 99_999_999), max_new_tokens=4),
        Request(request_id=4, prompt_token_ids=(5, 6), max_new_tokens=4),
    ]
    answers = {c.request_id: c.error_code for c in engine.complete(asked)}
    assert answers == {0: "PROMPT_EMPTY", 1: "PROMPT_TOO_LONG", 2: "PROMPT_TOO_LONG", 3: "TOKEN_UNKNOWN", 4: None}


def test_a_pass_that_does_not_fit_into_memory_is_halved(engine: CudaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    launch, before, asked = engine_module.launch_pass, free(engine), requests(12, seed=2)
    expected = {c.request_id: c.text for c in engine.complete(asked)}

    def small(model: Any, cache: Any, prompts: list[Any], device: str) -> Any:
        if len(prompts) > 1 or prompts[0][0].request_id == 7:
            raise RuntimeError("CUDA out of memory")
        return launch(model, cache, prompts, device)

    monkeypatch.setattr(engine_module, "launch_pass", small)
    answers = {c.request_id: c for c in engine.complete(asked)}
    assert answers.pop(7).error_code == "OUT_OF_MEMORY"
    assert {number: c.text for number, c in answers.items()} == {n: t for n, t in expected.items() if n != 7}
    assert free(engine) == before


def test_an_error_that_takes_the_device_with_it_takes_the_engine_too(
    engine: CudaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(engine_module, "launch_pass", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        list(engine.complete(requests(3)))


def test_closing_it_early_gives_back_lanes_and_rows(engine: CudaEngine) -> None:
    before = free(engine)
    stream = engine.complete(requests(40))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert free(engine) == before


def test_a_cache_that_is_too_small_for_one_is_a_row_with_a_code(tiny_llama: Path) -> None:
    engine = build(tiny_llama, max_decoding=1)
    engine._cache._free = [(32, 100)]
    asked = [Request(request_id=n, prompt_token_ids=(5,) * length, max_new_tokens=4) for n, length in ((0, 90), (1, 9))]
    assert {c.request_id: c.error_code for c in engine.complete(asked)} == {0: "OUT_OF_MEMORY", 1: None}


def test_a_request_that_takes_too_long_is_a_row_with_a_code(tiny_llama: Path) -> None:
    engine = build(tiny_llama, request_timeout_s=0.0)
    (answer,) = engine.complete([Request(request_id=0, prompt_token_ids=(5, 6), max_new_tokens=40)])
    assert answer.error_code == "TIMEOUT"


def test_the_transformers_model_still_computes_the_same_after_its_weights_were_merged(tiny_llama: Path) -> None:
    import torch

    plain, merged = load_causal_model(spec(tiny_llama)), load_causal_model(spec(tiny_llama))
    assert cuda_engine(spec(tiny_llama), merged) is not None
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        assert torch.equal(plain(ids).logits, merged(ids).logits)


def test_a_model_with_another_layer_is_left_to_the_other_engine(tiny_llama: Path) -> None:
    model = load_causal_model(spec(tiny_llama))
    model.base_model.layers[1].self_attn.q_norm = model.base_model.norm
    assert cuda_engine(spec(tiny_llama), model) is None


def test_a_model_that_it_would_compute_wrongly_is_left_to_the_other_engine(tiny_llama: Path) -> None:
    model = load_causal_model(spec(tiny_llama))
    model.base_model.layers[0].self_attn.scaling = 3.0
    model.base_model.layers[1].self_attn.scaling = 0.01
    assert cuda_engine(spec(tiny_llama), model) is None
