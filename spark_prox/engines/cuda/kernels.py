"""Triton kernels for what lies between the matrix products: norm, rotation with the store of keys, SwiGLU.

Each reads and writes every value once, where PyTorch's operators make about forty passes over a layer's activations.
`ops` has the same functions in plain PyTorch, which tests compare. Imported only where Triton is there.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

__all__ = ["rms_norm", "rotate_and_store", "swiglu"]


def _rms_norm(x, weight, out, width, eps, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(x + row * width + at, mask=inside, other=0.0).to(tl.float32)
    inverse = tl.rsqrt(tl.sum(value * value, axis=0) / width + eps)
    scaled = value * inverse * tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + at, scaled.to(out.dtype.element_ty), mask=inside)


def _rotate(  # type: ignore[no-untyped-def]
    qkv, positions, cos, sin, keys, values, store, stride,
    HEADS: tl.constexpr, KV: tl.constexpr, HALF: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr, BLOCK_V: tl.constexpr, KEEP: tl.constexpr,  # noqa: N803
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    base = qkv + token * stride
    position = tl.load(positions + token).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < (HEADS + KV) * HALF
    head, j = at // HALF, at % HALF
    first = base + head * (2 * HALF) + j
    a = tl.load(first, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(first + HALF, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + position * HALF + j, mask=inside, other=0.0)
    s = tl.load(sin + position * HALF + j, mask=inside, other=0.0)
    rotated_a = (a * c - b * s).to(qkv.dtype.element_ty)
    rotated_b = (b * c + a * s).to(qkv.dtype.element_ty)
    tl.store(first, rotated_a, mask=inside)
    tl.store(first + HALF, rotated_b, mask=inside)
    if KEEP:
        row = tl.load(store + token).to(tl.int64) * (KV * 2 * HALF)
        is_key = inside & (head >= HEADS)
        key = keys + row + (head - HEADS) * (2 * HALF) + j
        tl.store(key, rotated_a, mask=is_key)
        tl.store(key + HALF, rotated_b, mask=is_key)
        w = tl.arange(0, BLOCK_V)
        is_value = w < KV * 2 * HALF
        value = tl.load(base + (HEADS + KV) * 2 * HALF + w, mask=is_value, other=0.0)
        tl.store(values + row + w, value, mask=is_value)


def _swiglu(gate_up, out, width, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def] # noqa: N803
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    gate = tl.load(gate_up + row * 2 * width + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * width + width + at, mask=inside, other=0.0).to(tl.float32)
    value = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out + row * width + at, value.to(out.dtype.element_ty), mask=inside)


_rms_norm_kernel = triton.jit(_rms_norm)
_rotate_kernel = triton.jit(_rotate)
_swiglu_kernel = triton.jit(_swiglu)


def rms_norm(x: Any, weight: Any, eps: float) -> Any:
    """See `ops.rms_norm`."""
    out = x.new_empty(x.shape)
    width = x.shape[1]
    block = triton.next_power_of_2(width)
    _rms_norm_kernel[(x.shape[0],)](x, weight, out, width, eps, BLOCK=block, num_warps=4 if block <= 2048 else 8)
    return out


def rotate_and_store(
    qkv: Any, positions: Any, cos: Any, sin: Any, kept: tuple[Any, Any, Any] | None, heads: int, kv_heads: int
) -> None:
    """See `ops.rotate_and_store`."""
    half = cos.shape[1]
    keys, values, store = kept if kept is not None else (qkv, qkv, positions)
    _rotate_kernel[(qkv.shape[0],)](
        qkv, positions, cos, sin, keys, values, store, qkv.stride(0),
        HEADS=heads, KV=kv_heads, HALF=half,
        BLOCK=triton.next_power_of_2((heads + kv_heads) * half),
        BLOCK_V=triton.next_power_of_2(kv_heads * 2 * half),
        KEEP=kept is not None, num_warps=4,
    )  # fmt: skip


def swiglu(gate_up: Any) -> Any:
    """See `ops.swiglu`."""
    rows, width = gate_up.shape[0], gate_up.shape[1] // 2
    out = gate_up.new_empty(rows, width)
    block = min(2048, triton.next_power_of_2(width))
    _swiglu_kernel[(rows, triton.cdiv(width, block))](gate_up, out, width, BLOCK=block, num_warps=4)
    return out
