"""The forward pass of the line encoder: token ids of pages in, a margin for each line and one for the page out.

A pretrained bidirectional encoder reads the page in windows of equal length. A line's vector is the mean of its tokens
and its shape token. Dilated depthwise convolutions over the lines, with the mean and the maximum of the page added,
carry context from window to window. Weights are a flat mapping of tensors, the same for training and for production.
Knows no text, no tokenizer and no engine protocol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, Any]  # tensors; "<layer>.product" is a function that stands for a linear layer,
    # "<layer>.gelu_product" one that stands for a linear layer and GELU

__all__ = [
    "EncoderConfig",
    "WindowBatch",
    "encode_windows",
    "head_margins",
    "initial_head",
    "own_embeddings",
    "pool_lines",
]

PLACE_FEATURES = 3


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of the encoder.

    Attributes:
        vocabulary: pieces of the tokenizer; ids from here on are shapes, then qualities.
        shapes, qualities: numbers of shape tokens and of quality tokens.
        forms: forms of a line; a shape is length * forms + form.
        page_qualities: quality tokens at the end of each page.
        window_tokens: tokens of a window, the start token included.
        head_pieces, tail_pieces: pieces shown of a long line.
        head_width: channels of the convolutions over lines.
        dilations: of the convolution blocks, in lines.
        start_id, pad_id: token ids.
    """

    vocabulary: int
    shapes: int
    forms: int
    qualities: int
    page_qualities: int = 8
    width: int = 384
    layers: int = 6
    heads: int = 12
    mlp_width: int = 1536
    window_tokens: int = 256
    head_pieces: int = 14
    tail_pieces: int = 6
    head_width: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8, 16)
    norm_eps: float = 1e-12
    start_id: int = 0
    pad_id: int = 1

    def with_layers(self, layers: int) -> EncoderConfig:
        """The same encoder with so many layers."""
        return replace(self, layers=layers)


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Some pages, ready for one forward pass. L lines in all, on P pages, in N windows of T tokens.

    Attributes:
        ids: [N, T] token ids; windows that are full come first.
        full: how many windows are full.
        lengths: [N - full] tokens of the other windows; the rest of each is padding.
        own_at: [K] where in the flattened ids the shape and quality tokens are.
        token_line: [N, T] which of the L lines a token belongs to, L for none.
        shape_at: [L] where in the flattened ids each line's shape token is.
        line_tokens: [L] tokens of each line.
        line_place: [L] page * `most_lines` + number of the line on its page.
        most_lines: lines of the page that has most.
        page_lines: [P] lines of each page; the lines of a page are consecutive.
        qualities: [P, Q] quality token of each page, 0-based among the quality tokens.
    """

    ids: torch.Tensor
    full: int
    lengths: torch.Tensor
    own_at: torch.Tensor
    token_line: torch.Tensor
    shape_at: torch.Tensor
    line_tokens: torch.Tensor
    line_place: torch.Tensor
    most_lines: int
    page_lines: torch.Tensor
    qualities: torch.Tensor


def initial_head(config: EncoderConfig, word: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """Weights that the pretrained encoder does not have.

    Args:
        word: [vocabulary, width] embeddings of the pieces; shapes and qualities start near the mean piece.
    """
    import torch

    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> torch.Tensor:
        return torch.randn(shape, generator=random) * scale

    def linear(name: str, out: int, inputs: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": normal(out, inputs, scale=inputs**-0.5), f"{name}.bias": torch.zeros(out)}

    width, channels = config.width, config.head_width
    spread = float(word[4:].std())
    weights = {
        "shape.length": normal(config.shapes // config.forms, width, scale=spread),
        "shape.form": normal(config.forms, width, scale=spread),
        "quality": normal(config.qualities, width, scale=spread),
        **linear("head.line", channels, 2 * width + PLACE_FEATURES),
        **linear("head.page", channels, 2 * channels),
    }
    for number in range(len(config.dilations)):
        name = f"head.block{number}"
        weights |= {f"{name}.norm.weight": torch.ones(channels), f"{name}.norm.bias": torch.zeros(channels)}
        weights |= {
            f"{name}.conv.weight": normal(channels, 1, 5, scale=5**-0.5),
            f"{name}.conv.bias": torch.zeros(channels),
        }
        weights |= linear(f"{name}.up", 2 * channels, channels)
        weights |= {k: v * 0.5 for k, v in linear(f"{name}.down", channels, 2 * channels).items()}
    weights |= {"head.norm.weight": torch.ones(channels), "head.norm.bias": torch.zeros(channels)}
    weights |= {"head.out.weight": torch.zeros(1, channels), "head.out.bias": torch.zeros(1)}
    weights |= linear("head.doc1", channels, 2 * channels + width + config.qualities)
    weights |= {"head.doc2.weight": torch.zeros(1, channels), "head.doc2.bias": torch.zeros(1)}
    return weights


def embed(weights: Weights, config: EncoderConfig, batch: WindowBatch) -> torch.Tensor:
    """[N, T, width] embeddings of pieces, shapes and qualities with their places, normalised."""
    from torch.nn import functional

    windows, tokens = batch.ids.shape
    own = own_embeddings(weights, config)
    ids = batch.ids.reshape(-1)
    x = functional.embedding(ids.clamp(max=config.vocabulary - 1), weights["word"]).to(own.dtype)
    x = x.index_copy(0, batch.own_at, own[ids[batch.own_at] - config.vocabulary])
    x = x.view(windows, tokens, config.width) + weights["place"][:tokens]
    return _normed(weights, "embedding.norm", x, config)


def own_embeddings(weights: Weights, config: EncoderConfig) -> torch.Tensor:
    """[shapes + qualities, width]: a shape is the sum of its length's and its form's embeddings."""
    import torch

    if "own" in weights:  # made once, where the weights stay as they are
        made: torch.Tensor = weights["own"]
        return made
    shapes = (weights["shape.length"][:, None] + weights["shape.form"][None]).reshape(config.shapes, config.width)
    return torch.cat([shapes, weights["quality"]])


def encode_windows(weights: Weights, config: EncoderConfig, batch: WindowBatch, dropout: float = 0.0) -> torch.Tensor:
    """[N, T, width] hidden states; padding is seen by nobody."""
    import torch
    from torch.nn import functional

    windows, tokens = batch.ids.shape
    mask = None
    if batch.full < windows:
        mask = (torch.arange(tokens, device=batch.ids.device)[None] < batch.lengths[:, None])[:, None, None]

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        attention = functional.scaled_dot_product_attention
        if mask is None:
            return attention(query, key, value)
        full = batch.full
        padded = attention(query[full:], key[full:], value[full:], attn_mask=mask)
        return padded if not full else torch.cat([attention(query[:full], key[:full], value[:full]), padded])

    def drop(x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, dropout) if dropout else x

    x = drop(embed(weights, config, batch))
    for number in range(config.layers):
        name = f"layer{number}"
        qkv = _linear(weights, f"{name}.qkv", x)
        query, key, value = qkv.view(windows, tokens, 3, config.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        seen = attend(query, key, value).transpose(1, 2).reshape(windows, tokens, config.width)
        x = _normed(weights, f"{name}.norm1", x + drop(_linear(weights, f"{name}.out", seen)), config)
        down = _linear(weights, f"{name}.down", _gelu_linear(weights, f"{name}.up", x))
        x = _normed(weights, f"{name}.norm2", x + drop(down), config)
    return x


def pool_lines(hidden: torch.Tensor, batch: WindowBatch) -> torch.Tensor:
    """[L, 2 * width]: the mean of each line's tokens, and its shape token."""
    import torch

    flat = hidden.reshape(-1, hidden.shape[-1])
    count = batch.line_tokens.shape[0]
    sums = torch.zeros(count + 1, flat.shape[1], dtype=torch.float32, device=flat.device)
    sums = sums.index_add(0, batch.token_line.reshape(-1), flat.float())
    return torch.cat([sums[:count] / batch.line_tokens[:, None], flat[batch.shape_at].float()], 1).to(hidden.dtype)


def head_margins(
    weights: Weights, config: EncoderConfig, lines: torch.Tensor, batch: WindowBatch, dropout: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-odds of keeping each line [L] and of keeping each page [P], from the pooled lines [L, 2 * width]."""
    import torch
    from torch.nn import functional

    def drop(x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, dropout) if dropout else x

    pages, most = batch.page_lines.shape[0], batch.most_lines
    place = torch.arange(most, device=lines.device)[None].float()
    count = batch.page_lines[:, None].float()
    mask = place < count  # [P, most]
    padded = lines.new_zeros(pages * most, lines.shape[1]).index_copy(0, batch.line_place, lines)
    padded = padded.view(pages, most, -1)
    behind = (count - 1 - place).clamp(min=0)
    places = [place / count, (torch.log1p(place) / 8).expand(pages, -1), torch.log1p(behind) / 8]
    shown = mask[..., None].to(lines.dtype)
    x = drop(_linear(weights, "head.line", torch.cat([padded, torch.stack(places, -1).to(lines.dtype)], -1))) * shown
    x = (x + _linear(weights, "head.page", _page_vector(x, mask))[:, None]) * shown
    for number, dilation in enumerate(config.dilations):
        name = f"head.block{number}"
        h = _along_lines(_normed(weights, f"{name}.norm", x, config) * shown, weights, name, dilation)
        x = x + _linear(weights, f"{name}.down", drop(_gelu_linear(weights, f"{name}.up", h))) * shown
    x = _normed(weights, "head.norm", x, config)
    own = _linear(weights, "head.out", drop(x)).reshape(-1)[batch.line_place]
    hidden_mean = (padded[..., : config.width] * shown).sum(1) / count.to(lines.dtype)
    known = functional.one_hot(batch.qualities, config.qualities).sum(1).to(lines.dtype)
    page = torch.cat([_page_vector(x, mask), hidden_mean, known], -1)
    page = drop(_gelu_linear(weights, "head.doc1", page))
    return own.float(), _linear(weights, "head.doc2", page)[:, 0].float()


def _along_lines(x: torch.Tensor, weights: Weights, name: str, dilation: int) -> torch.Tensor:
    """A depthwise convolution over the lines of [P, lines, C], as a sum of shifted products."""
    from torch.nn import functional

    kernel = weights[f"{name}.conv.weight"][:, 0]  # [C, taps]
    taps, lines = kernel.shape[1], x.shape[1]
    wide = functional.pad(x, (0, 0, taps // 2 * dilation, taps // 2 * dilation))
    total: torch.Tensor = weights[f"{name}.conv.bias"] + wide[:, :lines] * kernel[:, 0]
    for tap in range(1, taps):
        total = total + wide[:, tap * dilation : tap * dilation + lines] * kernel[:, tap]
    return total


def _page_vector(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[P, 2C]: mean and maximum over a page's lines."""
    import torch

    shown = mask[..., None]
    mean = (x * shown).sum(1) / shown.sum(1).to(x.dtype)
    return torch.cat([mean, x.masked_fill(~shown, -math.inf).amax(1)], -1)


def _linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    product = weights.get(f"{name}.product")
    return (
        product(x) if product is not None else functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    )


def _gelu_linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    fused = weights.get(f"{name}.gelu_product")
    return fused(x) if fused is not None else functional.gelu(_linear(weights, name, x))


def _normed(weights: Weights, name: str, x: torch.Tensor, config: EncoderConfig) -> torch.Tensor:
    from torch.nn import functional

    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], config.norm_eps)
