from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines.base import Request
from spark_prox.engines.lora import merge_adapter
from spark_prox.engines.transformers_engine import TransformersEngine
from spark_prox.errors import ModelError

pytestmark = pytest.mark.model

MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj")
REQUEST = Request(request_id=0, prompt_token_ids=(5, 80, 300, 41), read_at=(1, 3), read_tokens=(7, 9))


def write_adapter(model: Path, folder: Path, **settings: object) -> tuple[Path, Path]:
    """An adapter of two modules, and the model with it merged by hand."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    rank, alpha = 3, 12.0
    merged = AutoModelForCausalLM.from_pretrained(model)
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name in MODULES:
        weight = merged.get_submodule(name).weight
        a = torch.randn(rank, weight.shape[1], generator=generator) * 0.2
        b = torch.randn(weight.shape[0], rank, generator=generator) * 0.2
        tensors[f"base_model.model.{name}.lora_A.weight"] = a
        tensors[f"base_model.model.{name}.lora_B.weight"] = b
        with torch.no_grad():
            weight += torch.einsum("or,ri->oi", b, a) * 4.0
    adapter, by_hand = folder / "adapter", folder / "merged"
    adapter.mkdir()
    save_file(tensors, str(adapter / "adapter_model.safetensors"))
    (adapter / "adapter_config.json").write_text(json.dumps({"r": rank, "lora_alpha": alpha, **settings}))
    merged.save_pretrained(by_hand)
    (by_hand / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    return adapter, by_hand


def margins(path: Path, adapter: str = "") -> tuple[float, ...]:
    engine = TransformersEngine(ModelSpec(path=str(path), engine="transformers", device="cpu", adapter=adapter))
    return next(iter(engine.complete([REQUEST]))).margins


def test_a_merged_adapter_is_the_model_merged_by_hand(tiny_llama: Path, tmp_path: Path) -> None:
    adapter, by_hand = write_adapter(tiny_llama, tmp_path)
    got = margins(tiny_llama, str(adapter))
    assert got == pytest.approx(margins(by_hand), abs=1e-4)
    assert got != pytest.approx(margins(tiny_llama), abs=1e-2)


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}])
def test_an_adapter_that_peft_wrote_is_merged_as_peft_merges_it(
    tiny_llama: Path, tmp_path: Path, settings: dict[str, bool]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], init_lora_weights=False, **settings)
    torch.manual_seed(3)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), plain)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    ours = AutoModelForCausalLM.from_pretrained(tiny_llama)
    assert merge_adapter(ours, str(tmp_path / "adapter")) == 6
    theirs = adapted.merge_and_unload().state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs[name])


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"alora_invocation_tokens": [7]},
        {"layer_replication": [[0, 2], [1, 3]]},
        {"init_lora_weights": "pissa_niter_4"},
    ],
)
def test_what_is_more_than_plain_lora_is_refused(tiny_llama: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    adapter, _ = write_adapter(tiny_llama, tmp_path, **settings)
    with pytest.raises(ModelError, match="ADAPTER_UNLOADABLE"):
        margins(tiny_llama, str(adapter))


def test_an_adapter_of_another_model_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    adapter, _ = write_adapter(tiny_llama, tmp_path)
    from safetensors.torch import load_file, save_file

    tensors = load_file(str(adapter / "adapter_model.safetensors"))
    tensors = {name.replace("layers.2", "layers.7"): tensor for name, tensor in tensors.items()}
    save_file(tensors, str(adapter / "adapter_model.safetensors"))
    with pytest.raises(ModelError, match=r"ADAPTER_UNLOADABLE.*layers\.7.*does not fit"):
        margins(tiny_llama, str(adapter))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (b'{"r": 3, "lora_alpha": 12, "x": "' + b"y" * (17 << 20) + b'"}', "16 MiB"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"r": 0, "lora_alpha": 12}', "rank is 0"),
        (b'{"r": 1e999, "lora_alpha": 12}', "r is inf"),
        (b'{"r": 3, "lora_alpha": NaN}', "lora_alpha is nan"),
    ],
    ids=["large", "nested", "list", "no rank", "endless rank", "no alpha"],
)
def test_a_hostile_configuration_of_an_adapter_is_refused(tmp_path: Path, config: bytes, why: str) -> None:
    (tmp_path / "adapter_config.json").write_bytes(config)
    with pytest.raises(ModelError, match=rf"ADAPTER_UNLOADABLE.*{why}"):
        merge_adapter(None, str(tmp_path))


def test_a_header_of_weights_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 3, "lora_alpha": 12}')
    (tmp_path / "adapter_model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match=r"ADAPTER_UNLOADABLE.*adapter_model"):
        merge_adapter(None, str(tmp_path))


def test_an_adapter_that_is_not_there_is_refused(tiny_llama: Path) -> None:
    with pytest.raises(ModelError, match="ADAPTER_UNLOADABLE"):
        margins(tiny_llama, "/nowhere")
