"""A tiny model and a few made pages in the packs' own layout: the whole script runs on them in seconds, on any CPU."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
from pack_model import embedding_streams, layer_streams, token_counts
from pack_programs import write_programs
from packs import stream, write_pack
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from spark_prox.annotation.labels import LabelledPage
from spark_prox.gguf import q8_0

__all__ = ["write_toy"]

_PROSE = (
    "The river rises in the hills and reaches the sea after forty miles of meadows, mills and small towns.",
    "She said that nobody had seen the letter before it was published by the paper last week.",
    "Heat the oil in a pan, add the onions and let them cook slowly until they are soft and golden.",
)
_MENU = ("Home", "About us", "Contact", "Log in", "Subscribe now", "Share this page", "Next", "All rights reserved")
_CONFIG = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100_000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _pages(source: random.Random, count: int, prefix: str, suffix: str = "") -> list[LabelledPage]:
    pages = []
    for number in range(count):
        keep = [float(source.random() < 0.5) for _ in range(source.randint(4, 40))]
        lines = tuple(source.choice(_PROSE if value else _MENU) for value in keep)
        host = f"https://{prefix}{number}.example/"
        pages.append(
            LabelledPage(page_id=f"{prefix}-{number}{suffix}", source="toy", lines=lines, keep=tuple(keep), url=host)
        )
    return pages


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(name, special=True) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")],
    )
    calls = (
        "[doc]\n[/doc] remove_lines(line_start=1, line_end=2)",
        "[page]\n[/page] keep_doc() drop_doc() keep_chunk()",
    )
    tokenizer.train_from_iterator([*_PROSE, *_MENU, *calls] * 4, trainer)
    return tokenizer


def _q4_1(shape: tuple[int, int], source: np.random.Generator) -> np.ndarray:
    count = shape[0] * shape[1] // 32
    scales = source.uniform(0.01, 0.03, count).astype(np.float16)
    head = np.stack([scales, (-7.5 * scales).astype(np.float16)], axis=1).view(np.uint8)
    return np.concatenate([head, source.integers(0, 256, (count, 16), dtype=np.uint8)], axis=1)


def write_toy(folder: Path) -> None:
    """Write programs.pack, model-a.pack and model-b.pack."""
    folder.mkdir(parents=True, exist_ok=True)
    source, noise = random.Random(0), np.random.default_rng(0)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {**_CONFIG, "vocab_size": tokenizer.get_vocab_size(), "pad_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    by_split = {("raw", "train"): _pages(source, 12, "a"), ("raw", "validation"): _pages(source, 4, "b")}
    by_split["extracted", "train"] = _pages(source, 4, "c", "-trafilatura")
    by_split["extracted", "validation"] = _pages(source, 2, "d", "-trafilatura")
    by_split["raw", "test"] = _pages(source, 2, "e")
    by_split["extracted", "test"] = _pages(source, 2, "f", "-trafilatura")
    human = ([list(_PROSE), list(_MENU)], [True, False])
    write_programs(by_split, human, str(folder), folder)
    width, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = width * config["num_key_value_heads"] // config["num_attention_heads"]
    scales = np.full((vocabulary * width // 32, 1), 0.001, np.float16).view(np.uint8)
    blocks = np.concatenate([scales, noise.integers(0, 256, (len(scales), 32), dtype=np.uint8)], axis=1)
    first = embedding_streams(
        q8_0(blocks).reshape(vocabulary, width), blocks, token_counts(folder, vocabulary), exact=64, fine=128, least=1
    )
    first["config"] = stream(json.dumps(config).encode(), "lzma")
    first["output_norm.weight"] = stream(np.ones(width, np.float32), "lzma")
    second = {}
    shapes = {"attn_q": (width, width), "attn_k": (kv, width), "attn_v": (kv, width), "attn_output": (width, width)}
    shapes |= {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
    for layer in range(config["num_hidden_layers"]):
        for part, shape in shapes.items():
            name = f"blk.{layer}.{part}.weight"
            second |= layer_streams(name, _q4_1(shape, noise))
            second[f"{name}/shape"] = stream(np.array(shape, np.int32), "lzma")
        for part in ("attn_norm", "ffn_norm"):
            second[f"blk.{layer}.{part}.weight"] = stream(np.ones(width, np.float32), "lzma")
    write_pack(folder / "model-a.pack", first)
    write_pack(folder / "model-b.pack", second)
