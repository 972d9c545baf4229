"""The settings of `jobs/train.py` for the embedded refiner, read from a YAML file plus `key=value` overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spark_prox.config.loading import build, read_tree
from spark_prox.errors import ConfigError

__all__ = ["TrainConfig", "load_settings", "load_train_config"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to make an embedded refiner.

    Attributes:
        labelled: files or folders of line-labelled pages, see `labels`.
        unlabelled: `.jsonl(.gz)` files of raw page texts, which the line classifier labels.
        clean: the same of texts that were cleaned before and mostly should stay as they are.
        text_keys: the first of these keys that a row of such a file has is its text.
        repeat_sources: labelled sources that are seen twice in an epoch, for being small.
        exclude_sources: sources never trained on, for example because of their annotations' licence.
        output: folder of checkpoints, the log, the curve and the finished model (`output/model`).
        vocabulary: tokens of the tokenizer, special ones included.
        layers, width, heads, head_width, mlp_width: shape of the Llama. Narrow heads: attention was half of
            a step's time.
        steps: optimiser steps of the whole run.
        batch_tokens: tokens of one step, padding included.
        learning_rate: of Muon's matrices, scaled to match AdamW's update size.
        embedding_learning_rate: of embeddings and norms, under AdamW.
        warmup_steps: steps of linear warm-up.
        decay_share: last share of the steps in which the learning rate falls linearly to zero.
        gold_share: weight of the human label in a target; the rest is the classifier's out-of-fold score.
        augment_share: share of pages that are varied (recombined, thinned, content alone).
        second_opinion: whether the line classifier has a say beside the finished model, with the share that is best
            on validation hosts.
        documents_per_page: samples of the document stage for each page.
        evaluate_every: steps between measurements of word F1 on validation hosts.
        checkpoint_every: steps between checkpoints; a multiple of 25, between which the log has its lines.
        evaluate_pages: most validation pages for one such measurement; 0 means all.
        threads: CPU threads.
        precision: "bf16" (autocast) or "fp32".
        seed: of everything random.
    """

    labelled: tuple[str, ...]
    output: str
    unlabelled: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    text_keys: tuple[str, ...] = ("wet_text", "text")
    repeat_sources: tuple[str, ...] = ()
    exclude_sources: tuple[str, ...] = ("daniel_waddle",)
    vocabulary: int = 8192
    layers: int = 5
    width: int = 256
    heads: int = 4
    head_width: int = 32
    mlp_width: int = 640
    steps: int = 3000
    batch_tokens: int = 8192
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 3e-3
    warmup_steps: int = 50
    decay_share: float = 0.4
    gold_share: float = 0.6
    augment_share: float = 0.4
    second_opinion: bool = True
    documents_per_page: float = 0.7
    evaluate_every: int = 250
    checkpoint_every: int = 100
    evaluate_pages: int = 100
    threads: int = 2
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError("CONFIG_BAD_VALUE", f"precision is {self.precision!r}.", "Use bf16 or fp32.")
        if min(self.steps, self.layers, self.heads, self.batch_tokens) < 1 or self.head_width % 2:
            raise ConfigError(
                "CONFIG_BAD_VALUE",
                "steps, layers, heads and batch_tokens must be positive and head_width even.",
                "Start from conf/train-embedded.yaml.",
            )


def load_settings(cls: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """The settings of a training run as its dataclass; `kind`, which chose the class, is no field of it.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, CONFIG_MISSING_KEY.
    """
    tree = read_tree(path, overrides)
    tree.pop("kind", None)
    return build(cls, tree, "")


def load_train_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The settings of an embedded refiner. Errors as in `load_settings`."""
    return load_settings(TrainConfig, path, overrides)
