"""LoRA (arXiv 2106.09685) without a further package: adapters on linear layers, stored as PEFT stores them.

A layer's output gets B·A·x·alpha/rank added. `adapter_config.json` and `adapter_model.safetensors` have PEFT's names
and shapes, so that vLLM, PEFT and this project's engines load them. torch is imported inside the functions.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.training.sft.settings import SftConfig

__all__ = ["add_adapters", "merged_state", "save_adapters"]


def add_adapters(model: Any, config: SftConfig) -> list[Any]:
    """Freeze the model and put an adapter on every linear layer that `config.lora_targets` names.

    Returns:
        The new parameters. B starts at 0: the model answers as before.

    Raises:
        ModelError: LORA_NO_TARGET when the model has no such layer.
    """
    import torch

    model.requires_grad_(False)
    torch.manual_seed(config.seed)
    added: list[Any] = []
    for _, layer in _targets(model, config):
        place = {"device": layer.weight.device, "dtype": torch.float32}
        layer.lora_A = torch.nn.Parameter(torch.empty(config.lora_rank, layer.in_features, **place))
        layer.lora_B = torch.nn.Parameter(torch.zeros(layer.out_features, config.lora_rank, **place))
        torch.nn.init.kaiming_uniform_(layer.lora_A, a=math.sqrt(5))
        layer.register_forward_hook(_hook(config.lora_alpha / config.lora_rank))
        added += [layer.lora_A, layer.lora_B]
    if not added:
        raise ModelError("LORA_NO_TARGET", f"no linear layer is named {' or '.join(config.lora_targets)}.")
    return added


def _targets(model: Any, config: SftConfig) -> list[tuple[str, Any]]:
    import torch

    return [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and name.rsplit(".", 1)[-1] in config.lora_targets
    ]


def _hook(scale: float) -> Any:
    from torch.nn.functional import linear

    def add(layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        return output + linear(linear(inputs[0], layer.lora_A), layer.lora_B) * scale

    return add


def merged_state(model: Any, config: SftConfig) -> dict[str, Any]:
    """The weights of the plain model that answers as this one with its adapters does."""
    scale = config.lora_alpha / config.lora_rank
    state = {name: value for name, value in model.state_dict().items() if not name.endswith((".lora_A", ".lora_B"))}
    for name, layer in _targets(model, config):
        weight = layer.weight.detach().float() + scale * (layer.lora_B.detach() @ layer.lora_A.detach())
        state[f"{name}.weight"] = weight.to(layer.weight.dtype)
    return state


def save_adapters(model: Any, config: SftConfig, folder: str | Path) -> None:
    """Write the adapters alone, in PEFT's layout."""
    import torch
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    tensors = {}
    for name, layer in _targets(model, config):
        for part, value in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B)):
            tensors[f"base_model.model.{name}.{part}.weight"] = value.detach().to("cpu", dtype).contiguous()
    save_file(tensors, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": config.model,
        "r": config.lora_rank,
        "lora_alpha": int(config.lora_alpha) if config.lora_alpha.is_integer() else config.lora_alpha,
        "target_modules": sorted(config.lora_targets),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
