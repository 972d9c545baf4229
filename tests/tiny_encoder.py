"""A tiny line encoder, and a tiny file in the format of the wheel that holds the pretrained one."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from spark_prox.engines.line_encoder import EncoderConfig, initial_head
from spark_prox.engines.line_encoder_files import save_line_encoder
from spark_prox.prompts.line_shape import FORMS
from spark_prox.prompts.page_prompt import QUALITY_TOKENS, SHAPE_TOKENS
from spark_prox.training.encoder.base_model import BLOCK, read_base_model

__all__ = ["write_base_file", "write_tiny_encoder"]

_WIDTH, _LAYERS, _HEADS, _MLP, _PLACES = 32, 2, 2, 64, 64
_PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789.,:<>|/", "▁the", "▁and"]


def write_base_file(file: Path, *, seed: int = 0) -> Path:
    """A file as `read_base_model` takes it, with random weights."""
    random = np.random.default_rng(seed)
    pieces = [*_PIECES, "<mask>"]
    texts = [piece.encode() for piece in pieces]
    tensors: dict[str, bytes] = {}

    def floats(name: str, *shape: int, around: float = 0.0) -> None:
        tensors[name] = (around + 0.1 * random.standard_normal(shape)).astype("<f4").tobytes()

    def blocks(name: str, rows: int, columns: int) -> None:
        raw = np.zeros(rows * columns // BLOCK, np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)]))
        raw["scale"] = 0.05
        raw["nibbles"] = random.integers(0, 256, raw["nibbles"].shape)
        tensors[name] = raw.tobytes()

    blocks("emb.word", len(pieces), _WIDTH)
    floats("emb.pos", _PLACES, _WIDTH)
    floats("emb.type", 1, _WIDTH)
    floats("emb.ln.w", _WIDTH, around=1)
    floats("emb.ln.b", _WIDTH)
    for layer in range(_LAYERS):
        for part in ("q", "k", "v", "ao"):
            blocks(f"l{layer}.{part}.w", _WIDTH, _WIDTH)
            floats(f"l{layer}.{part}.b", _WIDTH)
        blocks(f"l{layer}.fi.w", _MLP, _WIDTH)
        floats(f"l{layer}.fi.b", _MLP)
        blocks(f"l{layer}.fo.w", _WIDTH, _MLP)
        floats(f"l{layer}.fo.b", _WIDTH)
        for norm in ("aln", "oln"):
            floats(f"l{layer}.{norm}.w", _WIDTH, around=1)
            floats(f"l{layer}.{norm}.b", _WIDTH)
    head = b"E5S1" + struct.pack("<I7ifi", 1, _WIDTH, _LAYERS, _HEADS, _MLP, len(pieces), _PLACES, 1, 1e-12, BLOCK)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.array([0.0 if n < 4 else -float(n) for n in range(len(pieces))], "<f4").tobytes() + b"".join(texts)
    head += struct.pack("<iIi", 0, 0, len(tensors))
    size = len(head) + sum(2 + len(name) + 21 for name in tensors)
    for name, data in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, size, len(data))
        size += len(data)
    file.write_bytes(head + b"".join(tensors.values()))
    return file


def write_tiny_encoder(folder: Path, *, seed: int = 0, window_tokens: int = 24) -> Path:
    """A model folder of a line encoder with random weights."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    base = read_base_model(write_base_file(folder / "base.bin", seed=seed), vocabulary=len(_PIECES))
    (folder / "base.bin").unlink()
    weights = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in base.weights().items()}
    config = EncoderConfig(
        vocabulary=len(_PIECES),
        shapes=SHAPE_TOKENS,
        forms=FORMS,
        qualities=QUALITY_TOKENS,
        width=_WIDTH,
        layers=_LAYERS,
        heads=_HEADS,
        mlp_width=_MLP,
        window_tokens=window_tokens,
        head_pieces=6,
        tail_pieces=3,
        head_width=16,
        dilations=(1, 2),
    )
    weights |= initial_head(config, weights["word"], seed)
    random = torch.Generator().manual_seed(seed)
    for name in ("head.out.weight", "head.doc2.weight"):  # zero before training
        weights[name] = torch.randn(weights[name].shape, generator=random)
    scales, nibbles = base.blocks["word"]
    save_line_encoder(folder, config, weights, (torch.from_numpy(scales.copy()), torch.from_numpy(nibbles.copy())))
    (folder / "tokenizer.json").write_text(base.tokenizer_json(), encoding="utf-8")
    return folder
