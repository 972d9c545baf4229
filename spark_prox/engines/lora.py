"""Merge a LoRA adapter into a loaded model: W += scale * B @ A for every pair in a directory of PEFT's layout.

After Hu et al., "LoRA", arXiv 2106.09685. Merged, the adapter costs nothing per token. Knows plain LoRA on linear
layers and refuses the rest. Own code, because executors then need no peft: with accelerate and psutil it is 12 MB to
install and 9 MB and 0.2 s in each Python worker. A test holds the result against PEFT's own merge.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.metadata import finite_number, read_object, tensor_sizes, whole_number
from spark_prox.models import adapter_directory

__all__ = ["merge_adapter"]

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
# Settings of PEFT 0.21's LoraConfig under which a layer's change is not scale * B @ A of that layer alone.
_REFUSED = (
    "use_dora", "modules_to_save", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "trainable_token_indices",
    "layer_replication", "target_parameters", "lora_bias", "alora_invocation_tokens", "arrow_config", "kasa_config",
    "use_bdlora", "use_qalora", "monteclora_config",
)  # fmt: skip
# Starts that move the base weights as well, until PEFT converts the adapter as it stores it.
_MOVED_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")


def merge_adapter(model: Any, adapter: str) -> int:
    """Add an adapter to a model's weights, in place; returns how many matrices it changed.

    Raises:
        ModelError: ADAPTER_UNLOADABLE when files are missing, do not fit the model, or need more than plain LoRA.
    """
    import torch
    from safetensors.torch import load_file

    folder = adapter_directory(adapter)
    settings, rank, alpha = _settings(adapter, folder / _CONFIG)
    try:
        deque(tensor_sizes(folder / _WEIGHTS), maxlen=0)  # before anything of the claimed size is made
        weights = load_file(str(folder / _WEIGHTS))
    except Exception as error:
        raise _unloadable(adapter, f"{_WEIGHTS}: {type(error).__name__}") from error
    asked = [name for name in _REFUSED if settings.get(name)]
    if settings.get("bias", "none") != "none":
        asked.append("bias")
    if str(settings.get("init_lora_weights")).lower().startswith(_MOVED_BASE):
        asked.append("init_lora_weights")
    if asked:
        raise _unloadable(adapter, f"it uses {', '.join(asked)}")
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    pairs: dict[str, dict[str, Any]] = {}
    for name, tensor in weights.items():
        module, _, which = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".")
        pairs.setdefault(module, {})[which] = tensor
    with torch.no_grad():
        for module, pair in pairs.items():
            try:
                weight = model.get_submodule(module).weight
                # In float32: the product's small values would be lost in a 16-bit sum.
                change = scale * (pair["lora_B"].float() @ pair["lora_A"].float())
                weight.copy_(weight.float() + change.to(weight.device))
            except (AttributeError, KeyError, RuntimeError) as error:
                raise _unloadable(adapter, f"{module!r} does not fit the model") from error
    return len(pairs)


def _settings(adapter: str, file: Path) -> tuple[dict[str, Any], int, float]:
    """The settings of an adapter, its rank and its alpha."""
    try:
        settings = read_object(file)
        rank, alpha = whole_number(file, settings, "r"), finite_number(file, settings, "lora_alpha")
    except ModelError as error:
        raise _unloadable(adapter, error.what) from error
    if not rank:
        raise _unloadable(adapter, "its rank is 0")
    return settings, rank, alpha


def _unloadable(adapter: str, what: str) -> ModelError:
    return ModelError(
        "ADAPTER_UNLOADABLE",
        f"The adapter in {adapter!r} cannot be merged: {what}.",
        "Expected plain LoRA in PEFT's layout; merge other kinds into the model before.",
    )
