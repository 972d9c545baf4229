"""The operations between a layer's matrix products, in plain PyTorch, and the choice between them and Triton's kernels.

Shapes: `x` is (tokens, width), `qkv` (tokens, all heads' widths), `gate_up` (tokens, twice the MLP's width).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Ops", "best_ops", "plain_ops"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ops:
    """The functions of one layer, by the name of what implements them."""

    name: str
    rms_norm: Callable[[Any, Any, float], Any]
    rotate_and_store: Callable[..., None]
    swiglu: Callable[[Any], Any]


def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    """Root mean square norm, in float32; a new tensor of x's type."""
    import torch

    value = x.float()
    return (value * torch.rsqrt(value.square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


def rotate_and_store(
    qkv: Any, positions: Any, cos: Any, sin: Any, kept: tuple[Any, Any, Any] | None, heads: int, kv_heads: int
) -> None:
    """Rotate queries and keys by their positions, in place.

    Args:
        kept: (keys, values, rows): where the keys and values of each token are stored; None keeps nothing.
    """
    tokens, half = qkv.shape[0], cos.shape[1]
    rotated = qkv[:, : (heads + kv_heads) * 2 * half].unflatten(1, (heads + kv_heads, 2 * half))
    c, s = cos[positions][:, None], sin[positions][:, None]
    a, b = rotated[..., :half].float(), rotated[..., half:].float()
    rotated[..., :half], rotated[..., half:] = (a * c - b * s).to(qkv.dtype), (b * c + a * s).to(qkv.dtype)
    if kept is not None:
        keys, values, rows = kept
        keys[rows] = rotated[:, heads:]
        values[rows] = qkv[:, (heads + kv_heads) * 2 * half :].reshape(tokens, kv_heads, 2 * half)


def swiglu(gate_up: Any) -> Any:
    """silu(gate) * up."""
    import torch

    gate, up = gate_up.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def plain_ops() -> Ops:
    """Those of this module."""
    return Ops(name="plain", rms_norm=rms_norm, rotate_and_store=rotate_and_store, swiglu=swiglu)


def best_ops(device: str) -> Ops:
    """Triton's on a GPU where Triton can compile, this module's elsewhere."""
    import torch

    if device != "cuda":
        return plain_ops()
    try:
        from spark_prox.engines.cuda import kernels

        probe = torch.ones(2, 32, device=device, dtype=torch.bfloat16)
        kernels.swiglu(probe)  # compiles: without a C compiler it cannot
    except Exception as error:  # noqa: BLE001 - the engine is slower then, not broken
        _log.warning("Triton's kernels cannot be had (%s: %s); the engine is slower", type(error).__name__, error)
        return plain_ops()
    return Ops(
        name="triton",
        rms_norm=kernels.rms_norm,
        rotate_and_store=kernels.rotate_and_store,
        swiglu=kernels.swiglu,
    )
