"""Train the embedded refiner's tokenizer: byte-level BPE over lower-cased text whose digits all read 0.

Dates, prices and counters then look alike, and no part of the small vocabulary is spent on capitals; both come back as
form tokens of the prompt. Saved as an ordinary `tokenizer.json`. tokenizers is imported inside the function.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.prompts.compact import special_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["save_tokenizer", "train_tokenizer"]


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Tokenizer:
    """Train on texts, which may be in any language; `vocabulary` counts special tokens and the 256 bytes."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\d"), "0"), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=3,
        show_progress=False,
        max_token_length=16,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special_tokens()],
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path, *, max_tokens: int) -> None:
    """Write tokenizer.json and the tokenizer_config.json that makes transformers load it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_tokens,
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
