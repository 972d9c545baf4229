"""LoRA (arXiv 2106.09685) with `peft`: adapters on linear layers for training, stored alone or merged.

The files have PEFT's layout, which vLLM, PEFT and `spark_prox.engines.lora` load. Knows a model in memory and the
settings of a run. peft and torch are imported inside the functions.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.training.sft.settings import SftConfig

__all__ = ["add_adapters", "merged_model", "save_adapters"]


def add_adapters(model: Any, config: SftConfig) -> Any:
    """Freeze the model and put an adapter on every linear layer that `config.lora_targets` names.

    Returns:
        The model with adapters, of PEFT's class. Only the adapters require gradients. They start without effect: the
        model answers as before.

    Raises:
        ModelError: PEFT_MISSING when the package is not installed, LORA_NO_TARGET when the model has no such layer.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ModelError(
            "PEFT_MISSING",
            f"lora_rank is {config.lora_rank}, and peft is not installed.",
            "Install spark_prox[train], or set lora_rank to 0 to train all parameters.",
        ) from error
    import torch

    torch.manual_seed(config.seed)
    settings = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_rank,
        lora_alpha=int(config.lora_alpha) if config.lora_alpha.is_integer() else config.lora_alpha,
        target_modules=list(config.lora_targets),
    )
    try:
        adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError("LORA_NO_TARGET", f"no linear layer is named {' or '.join(config.lora_targets)}.") from error
    adapted.peft_config["default"].base_model_name_or_path = config.model
    return adapted


def merged_model(adapted: Any) -> Any:
    """A copy of the plain model that answers as the adapted one does. The adapted model stays as it is."""
    return copy.deepcopy(adapted).merge_and_unload()


def save_adapters(adapted: Any, folder: str | Path) -> None:
    """Write the adapters alone, in PEFT's layout."""
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
