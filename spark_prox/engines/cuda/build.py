"""Build the GPU engine of a loaded model, if it computes what transformers computes.

The engine has a forward pass of its own. Two short prompts, packed, are compared with transformers' own pass over each
of them; a model that it does not reproduce stays with the engine that uses transformers' layers.
"""

from __future__ import annotations

import itertools
import logging
from typing import Any

from spark_prox.config.model import ModelSpec
from spark_prox.engines.cuda.attention import Step
from spark_prox.engines.cuda.choice import best_attention
from spark_prox.engines.cuda.engine import CudaEngine
from spark_prox.engines.cuda.forward import PackedLlama
from spark_prox.engines.cuda.lanes import BURST
from spark_prox.engines.cuda.ops import best_ops
from spark_prox.engines.cuda.weights import llama_weights
from spark_prox.engines.loading import stop_ids
from spark_prox.engines.probes import probe_prompts, probes_differ
from spark_prox.models import load_tokenizer

__all__ = ["cuda_engine", "packed_llama"]

_log = logging.getLogger(__name__)
_BATCH_TOKENS = 32_768
_LANES = 256


def cuda_engine(spec: ModelSpec, model: Any) -> CudaEngine | None:
    """The engine; None for a model or a setting that it does not know."""
    if spec.constrain:
        return None
    packed = packed_llama(model)
    if packed is None:
        return None
    lanes = spec.max_decoding or max(1, min(_LANES, spec.max_in_flight * 3 // 4))
    return CudaEngine(
        packed,
        tokenizer=load_tokenizer(spec.path),
        stop_ids=stop_ids(spec.path),
        device=model.device.type,
        batch_tokens=spec.max_batch_tokens or _BATCH_TOKENS,
        max_in_flight=spec.max_in_flight,
        lanes=lanes,
        request_timeout_s=spec.request_timeout_s,
    )


def packed_llama(model: Any) -> PackedLlama | None:
    """The forward pass of a model; None where it is not what transformers computes."""
    weights = llama_weights(model, margin=4 * BURST)
    if weights is None:
        return None
    device = model.device.type
    packed = PackedLlama(
        weights,
        best_attention(device, model.dtype, heads=weights.heads, kv_heads=weights.kv_heads, width=weights.head_width),
        best_ops(device),
    )
    error = _error(packed, model)
    if error is not None:
        _log.warning("the fast forward pass is off by %.2g of the hidden states; going without it", error)
        return None
    return packed


def _error(packed: PackedLlama, model: Any) -> float | None:
    import torch

    device = model.device
    prompts = probe_prompts(packed.weights.embedding.shape[0])
    sizes = [len(ids) for ids in prompts]
    with torch.inference_mode():
        expected = [
            model.base_model(torch.tensor([ids], device=device), use_cache=False).last_hidden_state[0]
            for ids in prompts
        ]
        got = packed.hidden(
            Step(
                ids=torch.tensor([id_ for ids in prompts for id_ in ids], device=device),
                positions=torch.tensor([p for size in sizes for p in range(size)], device=device),
                cu_queries=torch.tensor([0, *itertools.accumulate(sizes)], device=device, dtype=torch.int32),
                max_queries=max(sizes),
            )
        )
        return probes_differ(got.split(sizes), expected)
