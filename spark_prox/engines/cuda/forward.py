"""The forward pass of a Llama-like model over sequences that lie behind each other, computed only where it is needed.

The residual stream is added to by the products themselves, and the last layer computes the rows whose output is
wanted. Knows nothing of requests.
"""

from __future__ import annotations

from typing import Any

from spark_prox.engines.cuda.attention import Attention, Step
from spark_prox.engines.cuda.ops import Ops
from spark_prox.engines.cuda.weights import LlamaWeights

__all__ = ["PackedLlama"]


class PackedLlama:
    """A model, its attention and its operators."""

    def __init__(self, weights: LlamaWeights, attention: Attention, ops: Ops) -> None:
        self.weights = weights
        self.attention = attention
        self.ops = ops

    def hidden(self, step: Step, cache: Any | None = None) -> Any:
        """Last hidden states of `step.rows`, shape (rows, width).

        Args:
            cache: keys and values of all layers, shape (2, layers, rows, KV heads, width); where `step.store` and
                `step.starts` point to.
        """
        from torch.nn.functional import embedding, linear

        w, ops = self.weights, self.ops
        x = embedding(step.ids, w.embedding)
        split = (w.heads, w.heads + w.kv_heads)
        last = len(w.layers) - 1
        for index, layer in enumerate(w.layers):
            kept = None if step.store is None or cache is None else (cache[0, index], cache[1, index], step.store)
            qkv = linear(ops.rms_norm(x, layer.norm_attention, w.eps), layer.qkv, layer.qkv_bias)
            ops.rotate_and_store(qkv, step.positions, w.cos, w.sin, kept, w.heads, w.kv_heads)
            heads = qkv.view(-1, w.heads + 2 * w.kv_heads, w.head_width)
            query = heads[:, : split[0]]
            if step.starts is not None and cache is not None:
                answer = self.attention.stored(query, cache[0, index], cache[1, index], step, w.scale)
            else:
                key, value = heads[:, split[0] : split[1]], heads[:, split[1] :]
                answer = self.attention.prompts(query, key, value, step, w.scale)
            answer = answer.flatten(1)
            if index == last and step.rows is not None:
                x, answer = x[step.rows], answer[step.rows]
            x.addmm_(answer, layer.out.t())
            gate_up = linear(ops.rms_norm(x, layer.norm_mlp, w.eps), layer.gate_up)
            x.addmm_(ops.swiglu(gate_up), layer.down.t())
        return ops.rms_norm(x, w.norm, w.eps)

    def logits(self, hidden: Any) -> Any:
        """Of hidden states, shape (rows, vocabulary), the model's type."""
        from torch.nn.functional import linear

        return linear(hidden, self.weights.head)

    def margins(self, hidden: Any, first: Any, second: Any) -> Any:
        """log p(first) - log p(second) after each row, float32: two rows of the output embedding, not all of it."""
        head = self.weights.head
        return ((head[first].float() - head[second].float()) * hidden.float()).sum(-1)
