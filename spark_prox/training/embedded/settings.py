"""The settings of `jobs/train.py` for the embedded refiner, read from a YAML file plus `key=value` overrides."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from spark_prox.config.plain_yaml import parse_yaml
from spark_prox.errors import ConfigError

__all__ = ["TrainConfig", "load_settings", "load_train_config", "read_settings"]

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


_SINGLE = ("output", "model")  # required settings that are one text, not a list


def _converted(name: str, value: object, default: object) -> object:
    if isinstance(default, tuple) or default is dataclasses.MISSING:
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(item, str) for item in values):
            return values[0] if name in _SINGLE else tuple(values)
    elif isinstance(default, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(default, float) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)  # YAML reads 1e-5, without a point, as text
    elif type(value) is type(default):
        return value
    wanted = "text" if default is dataclasses.MISSING else type(default).__name__
    raise ConfigError("CONFIG_BAD_VALUE", f"{name} is {value!r}.", f"Give a value of type {wanted}.")


def read_settings(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, object]:
    """Read a YAML mapping and put `key=value` overrides over it, whose values are YAML too.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("CONFIG_NOT_FOUND", f"there is no {path}.", "Start from conf/train-embedded.yaml.")
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8")) or {}
        changes = [override.partition("=") for override in overrides]
        return {**tree, **{key.strip(): parse_yaml(value) for key, _, value in changes}}
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigError("CONFIG_SYNTAX", f"{path} is not a YAML mapping ({type(error).__name__}).") from None


def load_settings(cls: type[T], path: str | Path, overrides: Sequence[str] = ()) -> T:
    """The settings of a training run as its dataclass; `kind`, which chose the class, is no field of it.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, CONFIG_MISSING_KEY.
    """
    fields = {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, typing.Any] = {}
    for key, value in read_settings(path, overrides).items():
        if key == "kind":
            continue
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Valid keys: {', '.join(fields)}."
            raise ConfigError("CONFIG_UNKNOWN_KEY", f"unknown key {key!r} for training.", hint)
        values[key] = _converted(key, value, fields[key])
    missing = [name for name, default in fields.items() if default is dataclasses.MISSING and name not in values]
    if missing:
        raise ConfigError("CONFIG_MISSING_KEY", f"training needs {' and '.join(missing)}.")
    return cls(**values)


def load_train_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The settings of an embedded refiner. Errors as in `load_settings`."""
    return load_settings(TrainConfig, path, overrides)
