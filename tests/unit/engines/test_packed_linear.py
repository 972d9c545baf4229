"""Linear layers on packed weights: the same numbers, all but the output embedding; None where not to be had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spark_prox.engines.packed_linear import pack_linear_layers, packed_linear

pytestmark = pytest.mark.model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 600])
def test_a_packed_layer_gives_what_the_layer_gives(dtype: torch.dtype, bias: bool, rows: int) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(96, 160, bias=bias, dtype=dtype)
    packed = packed_linear(layer)
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert packed is None
        pytest.skip("oneDNN multiplies no bfloat16 on this CPU: it needs AVX-512")
    assert packed is not None
    given = torch.randn(1, rows, 96, dtype=dtype)
    with torch.inference_mode():
        exact = torch.nn.functional.linear(given.double(), layer.weight.double(), layer.bias.double() if bias else None)
        error = (packed(given).double() - exact).abs().max() / exact.abs().max()
    assert packed(given).shape == (1, rows, 160)
    assert float(error) < (1e-5 if dtype == torch.float32 else 2e-2)


def test_other_types_and_places_stay_as_they_are() -> None:
    assert packed_linear(torch.nn.Linear(8, 8, dtype=torch.float64)) is None
    assert packed_linear(torch.nn.Linear(8, 8, device="meta")) is None


def test_operators_that_give_something_else_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Linear(8, 8)
    monkeypatch.setattr("spark_prox.engines.packed_linear._module", lambda *_: lambda rows: layer(rows) * 1.01)
    assert packed_linear(layer) is None
    monkeypatch.setattr("spark_prox.engines.packed_linear._module", lambda *_: torch.ops.mkldnn.no_such_operator)
    assert packed_linear(layer) is None


def test_a_model_keeps_its_answers_and_its_output_embedding(tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    head = model.get_output_embeddings()
    ids = torch.tensor([[3, 5, 7, 9, 4]])
    with torch.inference_mode():
        before = model(ids).logits
        replaced = pack_linear_layers(model)
        after = model(ids).logits
    assert replaced == 7 * model.config.num_hidden_layers
    assert model.get_output_embeddings() is head
    assert torch.allclose(before, after, atol=1e-4)
