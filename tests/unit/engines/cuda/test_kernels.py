"""Triton's kernels in its interpreter, on the CPU, against their plain twins: what they compute, not how fast."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The interpreter is chosen when triton is imported, so it needs a process of its own.
_PROGRAM = """
import torch
from spark_prox.engines.cuda import kernels, ops
from spark_prox.engines.cuda.attention import loop_attention
from spark_prox.engines.cuda.choice import _Shape, prompt_candidates

torch.manual_seed(0)
def close(got, expected):
    assert torch.allclose(got.float(), expected.float(), atol=1e-4), (got - expected).abs().max()

x, weight = torch.randn(5, 96), torch.randn(96)
close(kernels.rms_norm(x, weight, 1e-5), ops.rms_norm(x, weight, 1e-5))
wide = torch.linspace(-3, 3, 5 * 160).view(5, 160)
close(kernels.swiglu(wide), ops.swiglu(wide))
heads, kv_heads, half = 4, 2, 5
positions, cos, sin = torch.tensor([3, 1, 0, 9, 4]), torch.randn(12, half), torch.randn(12, half)
for store in (None, torch.tensor([3, 4, 5, 6, 11], dtype=torch.int32)):
    qkv = torch.randn(5, (heads + 2 * kv_heads) * 2 * half)
    results = []
    for way in (kernels, ops):
        rotated, keys, values = qkv.clone(), torch.zeros(20, kv_heads, 2 * half), torch.zeros(20, kv_heads, 2 * half)
        kept = None if store is None else (keys, values, store)
        way.rotate_and_store(rotated, positions, cos, sin, kept, heads, kv_heads)
        results.append((rotated, keys, values))
    for got, expected in zip(*results):
        close(got, expected)
    assert (store is None) == (float(results[0][1].abs().sum()) == 0)
for heads, kv_heads, width in ((4, 1, 80), (4, 2, 64), (2, 2, 96)):
    shape, tried = _Shape("cpu", torch.float32, heads, kv_heads, width), 0
    for name, attend in prompt_candidates(width):
        if name.startswith("triton"):
            difference, tried = shape.prompts_difference(attend), tried + 1
            assert difference < 1e-4, (name, difference)
    assert tried
print("done")
"""


def test_the_kernels_compute_what_their_plain_twins_compute(repository: Path) -> None:
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=repository,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "done", done.stderr[-2000:]
