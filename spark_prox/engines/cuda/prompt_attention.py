"""A Triton kernel for causal attention of prompts that lie behind each other, after Dao, FlashAttention-2 (2307.08691).

PyTorch's own kernel computes heads of width 80 as if they were 96 wide; this one splits a head's width into powers of
two (80 = 64 + 16) and wastes nothing. Imported only where Triton is there.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

__all__ = ["CONFIGURATIONS", "attend_prompts", "split_width"]

CONFIGURATIONS = ((128, 64, 4, 3), (128, 64, 8, 3), (128, 128, 8, 2), (64, 64, 4, 3))
"""Queries and keys of a block, warps, stages: the ones worth trying on a card."""


def _attend(  # type: ignore[no-untyped-def] # noqa: PLR0915
    query, key, value, out, cu_queries, query_stride, key_stride, value_stride, scale,
    HEADS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr,  # noqa: N803
    BM: tl.constexpr, BN: tl.constexpr,  # noqa: N803
):  # fmt: skip
    head, sequence = tl.program_id(0), tl.program_id(1)
    first = (tl.num_programs(2) - 1 - tl.program_id(2)) * BM  # the longest rows first
    begin = tl.load(cu_queries + sequence).to(tl.int64)
    length = (tl.load(cu_queries + sequence + 1) - begin).to(tl.int32)
    if first >= length:
        return
    rows, columns = first + tl.arange(0, BM), tl.arange(0, BN)
    d1, d2 = tl.arange(0, D1), tl.arange(0, max(D2, 16))
    there = rows[:, None] < length
    query_rows = query + (begin + rows[:, None]) * query_stride + head * WIDTH
    q1 = tl.load(query_rows + d1[None, :], mask=there, other=0.0)
    key_at = key + (begin + columns[None, :]) * key_stride + (head // GROUP) * WIDTH
    value_at = value + (begin + columns[:, None]) * value_stride + (head // GROUP) * WIDTH
    most = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    sum1 = tl.zeros([BM, D1], tl.float32)
    if D2 > 0:
        q2 = tl.load(query_rows + D1 + d2[None, :], mask=there, other=0.0)
        sum2 = tl.zeros([BM, D2], tl.float32)
    for start in range(0, first, BN):  # every row sees all of these keys
        scores = tl.dot(q1, tl.load(key_at + start * key_stride + d1[:, None]))
        if D2 > 0:
            scores = tl.dot(q2, tl.load(key_at + start * key_stride + D1 + d2[:, None]), scores)
        new = tl.maximum(most, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - new[:, None])
        shrink = tl.exp2(most - new)
        total = total * shrink + tl.sum(weights, 1)
        weights = weights.to(value.dtype.element_ty)
        sum1 = tl.dot(weights, tl.load(value_at + start * value_stride + d1[None, :]), sum1 * shrink[:, None])
        if D2 > 0:
            sum2 = tl.dot(weights, tl.load(value_at + start * value_stride + D1 + d2[None, :]), sum2 * shrink[:, None])
        most = new
    for start in range(first, tl.minimum(first + BM, length), BN):  # the diagonal
        inside = start + columns < length
        scores = tl.dot(q1, tl.load(key_at + start * key_stride + d1[:, None], mask=inside[None, :], other=0.0))
        if D2 > 0:
            k2 = tl.load(key_at + start * key_stride + D1 + d2[:, None], mask=inside[None, :], other=0.0)
            scores = tl.dot(q2, k2, scores)
        scores = tl.where(rows[:, None] >= start + columns[None, :], scores * scale, float("-inf"))
        new = tl.maximum(most, tl.max(scores, 1))
        weights = tl.exp2(scores - new[:, None])
        shrink = tl.exp2(most - new)
        total = total * shrink + tl.sum(weights, 1)
        weights = weights.to(value.dtype.element_ty)
        v1 = tl.load(value_at + start * value_stride + d1[None, :], mask=inside[:, None], other=0.0)
        sum1 = tl.dot(weights, v1, sum1 * shrink[:, None])
        if D2 > 0:
            v2 = tl.load(value_at + start * value_stride + D1 + d2[None, :], mask=inside[:, None], other=0.0)
            sum2 = tl.dot(weights, v2, sum2 * shrink[:, None])
        most = new
    out_rows = out + (begin + rows[:, None]) * (HEADS * WIDTH) + head * WIDTH
    tl.store(out_rows + d1[None, :], (sum1 / total[:, None]).to(out.dtype.element_ty), mask=there)
    if D2 > 0:
        tl.store(out_rows + D1 + d2[None, :], (sum2 / total[:, None]).to(out.dtype.element_ty), mask=there)


_attend_kernel = triton.jit(_attend)


def split_width(width: int) -> tuple[int, int] | None:
    """A head's width as one or two powers of two that tensor cores take; None where it is neither."""
    high = 1 << (width.bit_length() - 1)
    low = width - high
    if high < 16 or (low and (low < 16 or low & (low - 1))):
        return None
    return high, low


def attend_prompts(
    query: Any, key: Any, value: Any, cu_queries: Any, max_queries: int, scale: float, configuration: tuple[int, ...]
) -> Any:
    """Attention of each prompt on itself.

    Args:
        query, key, value: (tokens, heads, width), rows at any stride.
        configuration: one of `CONFIGURATIONS`.

    Returns:
        (tokens, heads, width).
    """
    tokens, heads, width = query.shape
    block_m, block_n, warps, stages = configuration
    split = split_width(width)
    assert split is not None
    out = query.new_empty(tokens, heads, width)
    grid = (heads, len(cu_queries) - 1, triton.cdiv(max_queries, block_m))
    _attend_kernel[grid](
        query, key, value, out, cu_queries, query.stride(0), key.stride(0), value.stride(0),
        scale * 1.4426950408889634,  # powers of two instead of e
        HEADS=heads, GROUP=heads // key.shape[1], WIDTH=width, D1=split[0], D2=split[1],
        BM=block_m, BN=block_n, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out
