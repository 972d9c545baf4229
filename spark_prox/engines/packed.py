"""A causal language model that runs many sequences in one forward pass without a padding token between them.

All tokens of a step lie behind each other in one row. The linear layers, nearly all of the work, see one matrix, and
attention runs sequence by sequence. New prompts and single tokens of sequences that are being decoded share a step.
An attention layer gets its other inputs as a keyword argument, which transformers passes through.
Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spark_prox.engines.packed_linear import packed_linear
from spark_prox.engines.probes import probe_prompts, probes_differ
from spark_prox.errors import ModelError

__all__ = ["PackedModel", "Segment"]

_ATTENTION = "spark_prox_packed"


@dataclass(eq=False)
class Segment:
    """Tokens of one sequence that are new in a step.

    Attributes:
        tokens: the new token ids.
        past: how many of the sequence's tokens came before them.
        capacity: tokens that the whole sequence will have at most; 0 keeps nothing for later steps.
        cache: (keys, values) of each layer, of shape (1, heads, capacity, width); filled by the forward pass.
    """

    tokens: Sequence[int]
    past: int = 0
    capacity: int = 0
    cache: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def with_cached(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Keys and values of the whole sequence, the new ones stored behind the old ones."""
        if not self.capacity:
            return keys, values
        if layer not in self.cache:
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self.cache[layer] = (keys.new_empty(shape), values.new_empty(shape))
        stop = self.past + len(self.tokens)
        stored_keys, stored_values = self.cache[layer]
        stored_keys[:, :, self.past : stop] = keys
        stored_values[:, :, self.past : stop] = values
        return stored_keys[:, :, :stop], stored_values[:, :, :stop]


class PackedModel:
    """A transformers model under packed attention.

    Raises:
        ModelError: MODEL_ATTENTION for a model whose attention is not plainly causal (a sliding window, say): found by
            comparing two packed sequences with each of them alone.
    """

    def __init__(self, model: Any) -> None:
        import torch
        from transformers import AttentionInterface

        self._torch = torch
        self._body = model.base_model
        self._head = model.get_output_embeddings()
        self._logits = packed_linear(self._head) or self._head
        self.device = model.device
        prompts = probe_prompts(model.get_input_embeddings().weight.shape[0])
        with torch.inference_mode():
            alone = [
                self._body(torch.tensor([ids], device=self.device), use_cache=False).last_hidden_state[0]
                for ids in prompts
            ]
            AttentionInterface.register(_ATTENTION, _packed_attention)
            model.set_attn_implementation(_ATTENTION)
            packed = self.hidden([Segment(tuple(ids)) for ids in prompts]).split([len(ids) for ids in prompts])
        if _windowed(model.config) or probes_differ(packed, alone) is not None:
            raise ModelError(
                "MODEL_ATTENTION",
                "This model's attention is not plainly causal, which packed batches need.",
                "Use model.engine=vllm.",
            )

    def hidden(self, segments: Sequence[Segment]) -> Any:
        """Last hidden states, one row for each new token of each segment, in order; shape (tokens, width)."""
        torch = self._torch
        ids = [token for segment in segments for token in segment.tokens]
        positions = [p for segment in segments for p in range(segment.past, segment.past + len(segment.tokens))]
        return self._body(
            input_ids=torch.tensor([ids], device=self.device),
            position_ids=torch.tensor([positions], device=self.device),
            use_cache=False,
            segments=segments,
        ).last_hidden_state[0]

    def logits(self, hidden: Any) -> Any:
        """Of hidden states: shape (rows, vocabulary), float32."""
        return self._logits(hidden).float()

    def margins(self, hidden: Any, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """log p(first) - log p(second) of a pair of tokens after each row of hidden states.

        It is the difference of two logits, because the normaliser is the same for both: two rows of the output
        embedding, not all of it.
        """
        weight = self._head.weight
        first, second = weight[[pair[0] for pair in pairs]].float(), weight[[pair[1] for pair in pairs]].float()
        margins: list[float] = ((first - second) * hidden.float()).sum(-1).tolist()
        return margins


def _packed_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    segments: Sequence[Segment] = (),
    **_: Any,
) -> tuple[Any, None]:
    """Attention of each segment on its own sequence; (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    import torch

    attend = torch.nn.functional.scaled_dot_product_attention
    _, heads, tokens, width = query.shape
    kv_heads = key.shape[1]
    out = query.new_empty(1, tokens, heads, value.shape[3])
    start = 0
    for segment in segments:
        count = len(segment.tokens)
        stop = start + count
        keys, values = segment.with_cached(module.layer_idx, key[:, :, start:stop], value[:, :, start:stop])
        asked = query[:, :, start:stop]
        if count == 1:  # heads that share keys are queries of the same keys: nothing has to be repeated
            asked = asked.reshape(1, kv_heads, heads // kv_heads, width)
            answer = attend(asked, keys, values, scale=scaling).reshape(1, heads, 1, -1)
        elif segment.past == 0:
            answer = attend(asked, keys, values, is_causal=True, scale=scaling, enable_gqa=heads != kv_heads)
        else:
            mask = torch.ones(count, segment.past + count, dtype=torch.bool, device=query.device).tril(segment.past)
            answer = attend(asked, keys, values, attn_mask=mask, scale=scaling, enable_gqa=heads != kv_heads)
        out[:, start:stop] = answer.transpose(1, 2)
        start = stop
    return out, None


def _windowed(config: Any) -> bool:
    """True if some layer has a bounded attention window, which two short sequences do not show."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return any(kind != "full_attention" for kind in kinds)
    window = getattr(config, "sliding_window", None)
    return bool(window) and window < config.max_position_embeddings
