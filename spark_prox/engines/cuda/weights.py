"""The weights of a Llama-like model, laid out for few large products.

Queries, keys and values come from one, gate and up of the MLP from another.

The transformers model keeps working: its layers become views of the merged weights, so nothing is held twice. Knows
models whose layers are Llama's (Llama, Mistral without a window, Qwen2 with its biases) and refuses the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["LlamaWeights", "llama_weights"]

_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
_MLP = {"gate_proj", "up_proj", "down_proj"}
_ROTATIONS = ("default", "linear", "llama3", "yarn")  # of these the angles do not depend on a prompt's length


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One layer. `qkv` is (heads and twice the KV heads times width, model width), `gate_up` (twice MLP width, ...)."""

    norm_attention: Any
    qkv: Any
    qkv_bias: Any | None
    out: Any
    norm_mlp: Any
    gate_up: Any
    down: Any


@dataclass(frozen=True, kw_only=True)
class LlamaWeights:
    """All layers, and the shapes that the forward pass needs.

    Attributes:
        cos, sin: rotation of each position, float32, of shape (positions, half a head's width).
    """

    layers: tuple[LayerWeights, ...]
    embedding: Any
    norm: Any
    head: Any
    cos: Any
    sin: Any
    heads: int
    kv_heads: int
    head_width: int
    scale: float
    eps: float
    context: int


def llama_weights(model: Any, *, margin: int) -> LlamaWeights | None:
    """Merge the weights of a loaded transformers model; None where its layers are not Llama's.

    Args:
        margin: positions beyond the model's context that can be rotated too.
    """
    import torch

    body, config = model.base_model, model.config
    head = model.get_output_embeddings()
    if not _fits(body, head):
        return None
    first = body.layers[0].self_attn
    width = int(first.head_dim)
    context = int(config.max_position_embeddings)
    with torch.inference_mode():
        positions = torch.arange(context + margin, device=model.device)[None]
        cos, sin = body.rotary_emb(torch.zeros(1, device=model.device), position_ids=positions)
    half = width // 2
    return LlamaWeights(
        layers=tuple(_merged(layer) for layer in body.layers),
        embedding=body.embed_tokens.weight.detach(),
        norm=body.norm.weight.detach(),
        head=head.weight.detach(),
        cos=cos[0, :, :half].float().contiguous(),
        sin=sin[0, :, :half].float().contiguous(),
        heads=int(config.num_attention_heads),
        kv_heads=int(config.num_key_value_heads),
        head_width=width,
        scale=float(first.scaling),
        eps=float(body.norm.variance_epsilon),
        context=context,
    )


def _fits(body: Any, head: Any) -> bool:
    """True if the model has none of the parts that the forward pass leaves out."""
    try:
        rotation = getattr(body.rotary_emb, "rope_type", "default")
        return (
            head.bias is None
            and rotation in _ROTATIONS
            and getattr(body.config, "hidden_act", "") == "silu"
            and {name for name, _ in body.named_children()} == {"embed_tokens", "layers", "norm", "rotary_emb"}
            and all(_layer_fits(layer) for layer in body.layers)
        )
    except AttributeError:
        return False


def _layer_fits(layer: Any) -> bool:
    attention, mlp = layer.self_attn, layer.mlp
    plain = (attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj)
    biases = [projection.bias is None for projection in (attention.q_proj, attention.k_proj, attention.v_proj)]
    return (
        {name for name, _ in layer.named_children()} == _LAYER
        and {name for name, _ in attention.named_children()} == _ATTENTION
        and {name for name, _ in mlp.named_children()} - {"act_fn"} == _MLP
        and all(projection.bias is None for projection in plain)
        and len(set(biases)) == 1
        and not getattr(attention, "sliding_window", None)
    )


def _merged(layer: Any) -> LayerWeights:
    import torch

    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    biased = projections[0].bias is not None
    return LayerWeights(
        norm_attention=layer.input_layernorm.weight.detach(),
        qkv=_joined(projections),
        qkv_bias=torch.cat([projection.bias.detach() for projection in projections]) if biased else None,
        out=attention.o_proj.weight.detach(),
        norm_mlp=layer.post_attention_layernorm.weight.detach(),
        gate_up=_joined((mlp.gate_proj, mlp.up_proj)),
        down=mlp.down_proj.weight.detach(),
    )


def _joined(projections: tuple[Any, ...]) -> Any:
    """Their weights as one matrix, of which each becomes a view."""
    import torch

    joined = torch.cat([projection.weight.detach() for projection in projections])
    start = 0
    for projection in projections:
        stop = start + projection.weight.shape[0]
        projection.weight = torch.nn.Parameter(joined[start:stop], requires_grad=False)
        start = stop
    return joined
