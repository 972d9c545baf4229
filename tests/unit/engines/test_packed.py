from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_prox.engines.packed import PackedModel, Segment
from spark_prox.errors import ModelError

pytestmark = pytest.mark.model

SEQUENCES = [(5, 80, 300, 41), (9,), tuple(range(20, 57))]


def load(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path).eval()


def alone(model: Any, ids: tuple[int, ...]) -> Any:
    import torch

    with torch.inference_mode():
        return model.base_model(torch.tensor([ids])).last_hidden_state[0]


@pytest.fixture(scope="module")
def packed(tiny_llama: Path) -> PackedModel:
    return PackedModel(load(tiny_llama))


def test_packed_sequences_do_not_see_each_other(packed: PackedModel, tiny_llama: Path) -> None:
    import torch

    plain = load(tiny_llama)
    with torch.inference_mode():
        hidden = packed.hidden([Segment(ids) for ids in SEQUENCES])
    expected = torch.cat([alone(plain, ids) for ids in SEQUENCES])
    assert torch.allclose(hidden, expected, atol=1e-4)


def test_tokens_that_come_later_see_those_before_them(packed: PackedModel, tiny_llama: Path) -> None:
    """One token and several at once, beside a new prompt: what decoding with and without forced tokens does."""
    import torch

    plain = load(tiny_llama)
    whole = SEQUENCES[2]
    with torch.inference_mode():
        segment = Segment(whole[:20], capacity=len(whole))
        packed.hidden([segment, Segment(SEQUENCES[0])])
        got = []
        for start, stop in ((20, 21), (21, 30), (30, 37)):
            segment.past, segment.tokens = start, whole[start:stop]
            got.append(packed.hidden([Segment(SEQUENCES[0]), segment])[4:])
    assert torch.allclose(torch.cat(got), alone(plain, whole)[20:], atol=1e-4)


def test_a_step_that_failed_can_be_run_again(packed: PackedModel) -> None:
    import torch

    with torch.inference_mode():
        segment = Segment(SEQUENCES[0], capacity=9)
        assert torch.equal(packed.hidden([segment]), packed.hidden([segment]))


def test_a_model_that_looks_back_a_bounded_way_only_is_refused() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=16, max_position_embeddings=128,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"MODEL_ATTENTION.*vllm"):
        PackedModel(MistralForCausalLM(config).eval())
