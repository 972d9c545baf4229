"""A Llama whose frozen matrices carry LoRA adapters, written for training speed on one card.

Each matrix is W + scale·B·A, formed anew in every forward pass and rounded to bfloat16: what a merged engine runs. A
small model is bound by memory, not by arithmetic, so three matrices of the attention and two of the MLP are one
product each, and nothing is added to activations. Rows hold one prompt each, padded at their end: causal attention
needs no mask.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

__all__ = ["PROJECTIONS", "LoraLlama", "fuse"]

PROJECTIONS = {
    "q_proj": "self_attn",
    "k_proj": "self_attn",
    "v_proj": "self_attn",
    "o_proj": "self_attn",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "mlp",
}
Tensor = torch.Tensor


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _gated(both: Tensor) -> Tensor:
    gate, up = both.chunk(2, dim=-1)
    return functional.silu(gate) * up


POINTWISE: dict[str, Callable[..., Tensor]] = {"rotate": _rotate, "gated": _gated}
"""The two functions that a compiler can make faster; `fuse` replaces them."""


def fuse() -> None:
    """Compile them, for any shape."""
    for name, function in (("rotate", _rotate), ("gated", _gated)):
        POINTWISE[name] = torch.compile(function, dynamic=True)


def _groups_heads(device: str, dtype: torch.dtype) -> bool:
    """True if a fast attention kernel takes fewer key heads than query heads; the plain one would take all memory."""
    if device != "cuda":
        return True
    from torch.nn.attention import SDPBackend, sdpa_kernel

    query = torch.zeros(1, 6, 64, 64, device=device, dtype=dtype, requires_grad=True)
    key = torch.zeros(1, 2, 64, 64, device=device, dtype=dtype, requires_grad=True)
    try:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
            functional.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True).sum().backward()
    except RuntimeError:
        return False
    return True


class LoraLlama:
    """
    Attributes:
        adapters: A and B of each matrix, float32, by its name in transformers.
        parameters: all of them.
    """

    def __init__(
        self, config: dict[str, Any], state: dict[str, Tensor], *, rank: int, alpha: float, device: str, seed: int = 0
    ) -> None:
        self.config, self.rank, self.alpha, self.device = config, rank, alpha, device
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self._heads, self._kv = config["num_attention_heads"], config["num_key_value_heads"]
        self._width = config["hidden_size"] // self._heads
        self._eps = config["rms_norm_eps"]
        self.state = {name: value.to(device) for name, value in state.items()}
        self._small = {n: v.to(self.dtype) for n, v in self.state.items() if v.ndim == 1 or "embed_tokens" in n}
        self.adapters: dict[str, tuple[Tensor, Tensor]] = {}
        generator = torch.Generator().manual_seed(seed)
        for layer in range(config["num_hidden_layers"]):
            for name in PROJECTIONS:
                rows, columns = self.state[self._name(layer, name)].shape
                bound = 1 / math.sqrt(columns)
                a = (torch.rand(rank, columns, generator=generator) * 2 - 1) * bound
                self.adapters[self._name(layer, name)] = (
                    a.to(device).requires_grad_(),
                    torch.zeros(rows, rank, device=device, requires_grad=True),
                )
        self.parameters = [value for pair in self.adapters.values() for value in pair]
        places = torch.arange(config["max_position_embeddings"], device=device).float()
        rates = config["rope_theta"] ** (-torch.arange(0, self._width, 2, device=device).float() / self._width)
        angles = places[:, None] * rates
        self._grouped = self._heads == self._kv or _groups_heads(device, self.dtype)
        self._cos, self._sin = angles.cos().to(self.dtype), angles.sin().to(self.dtype)

    @staticmethod
    def _name(layer: int, projection: str) -> str:
        return f"model.layers.{layer}.{PROJECTIONS[projection]}.{projection}.weight"

    def matrix(self, name: str) -> Tensor:
        """A matrix with its adapter, float32."""
        a, b = self.adapters[name]
        return self.state[name] + (b @ a) * (self.alpha / self.rank)

    def _product(self, layer: int, *projections: str) -> Tensor:
        return torch.cat([self.matrix(self._name(layer, name)).to(self.dtype) for name in projections])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self._small[name], self._eps)

    def hidden(self, ids: Tensor) -> Tensor:
        """Last hidden states, (rows, tokens, width)."""
        rows, tokens = ids.shape
        x = functional.embedding(ids, self._small["model.embed_tokens.weight"])
        cos, sin = self._cos[:tokens, None], self._sin[:tokens, None]
        turned = self._heads + self._kv
        for layer in range(self.config["num_hidden_layers"]):
            place = f"model.layers.{layer}"
            y = self._norm(x, f"{place}.input_layernorm.weight")
            qkv = functional.linear(y, self._product(layer, "q_proj", "k_proj", "v_proj"))
            qkv = qkv.view(rows, tokens, turned + self._kv, self._width)
            qk = POINTWISE["rotate"](qkv[:, :, :turned], cos, sin)
            keys, values = qk[:, :, self._heads :], qkv[:, :, turned:]
            if not self._grouped:
                keys, values = (v.repeat_interleave(self._heads // self._kv, dim=2) for v in (keys, values))
            y = functional.scaled_dot_product_attention(
                qk[:, :, : self._heads].transpose(1, 2),
                keys.transpose(1, 2),
                values.transpose(1, 2),
                is_causal=True,
                enable_gqa=self._grouped,
            )
            y = y.transpose(1, 2).reshape(rows, tokens, -1)
            x = x + functional.linear(y, self._product(layer, "o_proj"))
            y = self._norm(x, f"{place}.post_attention_layernorm.weight")
            y = POINTWISE["gated"](functional.linear(y, self._product(layer, "gate_proj", "up_proj")))
            x = x + functional.linear(y, self._product(layer, "down_proj"))
        return self._norm(x, "model.norm.weight")

    def logits(self, hidden: Tensor) -> Tensor:
        """Of chosen hidden states, (places, vocabulary), float32."""
        return functional.linear(hidden, self._small["model.embed_tokens.weight"]).float()

    def merged(self) -> dict[str, Tensor]:
        """The state of a plain model that answers as this one does, in the precision of its products."""
        with torch.no_grad():
            state = {name: self.matrix(name) if name in self.adapters else value for name, value in self.state.items()}
            return {name: value.to(self.dtype) for name, value in state.items()}

    def load_adapter(self, folder: Path) -> None:
        """Take over the adapters that `save_adapter` wrote."""
        from safetensors.torch import load_file

        stored = load_file(str(folder / "adapter_model.safetensors"))
        with torch.no_grad():
            for name, pair in self.adapters.items():
                place = f"base_model.model.{name.removesuffix('.weight')}"
                for part, value in zip(("lora_A", "lora_B"), pair, strict=True):
                    value.copy_(stored[f"{place}.{part}.weight"].float())

    def save_adapter(self, folder: Path) -> None:
        """Write the adapters in PEFT's layout, in bfloat16."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for name, (a, b) in self.adapters.items():
            place = f"base_model.model.{name.removesuffix('.weight')}"
            for part, value in (("lora_A", a), ("lora_B", b)):
                tensors[f"{place}.{part}.weight"] = value.detach().to("cpu", torch.bfloat16).contiguous()
        partial = folder / "adapter_model.partial"
        save_file(tensors, str(partial), metadata={"format": "pt"})
        partial.rename(folder / "adapter_model.safetensors")  # a killed run leaves the last whole one
        settings = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "smollm2",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "target_modules": sorted(PROJECTIONS),
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "modules_to_save": None,
            "use_dora": False,
            "use_rslora": False,
        }
        (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
