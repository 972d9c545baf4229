"""Build, save and optimise the small Llama of the embedded refiner. torch and transformers inside the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spark_prox.training.embedded.settings import TrainConfig

__all__ = ["MAX_PROMPT_TOKENS", "build_model", "build_optimisers", "save_model"]

MAX_PROMPT_TOKENS = 2048


def build_model(config: TrainConfig, vocabulary: int) -> Any:
    """A `LlamaForCausalLM` with fresh weights; input and output embeddings are one matrix."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=config.width,
            intermediate_size=config.mlp_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            head_dim=config.head_width,
            max_position_embeddings=MAX_PROMPT_TOKENS,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def build_optimisers(model: Any, config: TrainConfig) -> list[Any]:
    """Muon for the layers' matrices, AdamW for embeddings and norms (Muon is defined for hidden matrices only)."""
    import torch

    matrices = [
        p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name and "lm_head" not in name
    ]
    chosen = set(map(id, matrices))
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=config.learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=config.embedding_learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def save_model(model: Any, folder: str | Path) -> None:
    """Write config.json and half-precision safetensors."""
    import copy

    import torch

    half = copy.deepcopy(model).to(torch.float16)
    half.config.dtype = "float16"
    half.save_pretrained(str(folder))
