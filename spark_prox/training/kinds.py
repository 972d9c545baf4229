"""The kinds of training of `jobs/train.py`. Each `kind` has a settings class and a function that trains.

Knows no command line and starts no process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spark_prox.config.loading import read_tree
from spark_prox.errors import ConfigError
from spark_prox.training.classifier_recipe import ClassifierConfig, make_classifier
from spark_prox.training.embedded.loop import progress_line
from spark_prox.training.embedded.recipe import load_pages, make_refiner
from spark_prox.training.embedded.settings import TrainConfig, load_settings
from spark_prox.training.encoder.recipe import EncoderTrainConfig, make_line_encoder
from spark_prox.training.model_card import model_card
from spark_prox.training.plots import draw_training_curve
from spark_prox.training.process_group import join_process_group
from spark_prox.training.sft.recipe import fine_tune
from spark_prox.training.sft.settings import SftConfig

__all__ = ["KINDS", "Settings", "load_kind", "train_embedded", "train_kind"]

Say = Callable[[str], None]
Settings = TrainConfig | SftConfig | ClassifierConfig | EncoderTrainConfig

KINDS: dict[str, type[Settings]] = {
    "embedded": TrainConfig,
    "line_encoder": EncoderTrainConfig,
    "sft": SftConfig,
    "line_classifier": ClassifierConfig,
}


def load_kind(path: str | Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a run, of the class that their `kind` names; "embedded" without one.

    Raises:
        ConfigError: CONFIG_BAD_VALUE for an unknown kind, and as `load_settings`.
    """
    kind = read_tree(path, overrides).get("kind", "embedded")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError("CONFIG_BAD_VALUE", f"kind is {kind!r}.", f"Use one of {', '.join(KINDS)}.")
    return load_settings(KINDS[kind], path, overrides)


def train_kind(config: Settings, say: Say) -> None:
    """Train or resume in this process, which may be one of several that torchrun or Spark started."""
    if isinstance(config, SftConfig):
        fine_tune(config, say)
    elif isinstance(config, ClassifierConfig):
        make_classifier(config, say)
    elif isinstance(config, EncoderTrainConfig):
        make_line_encoder(config, say)
    else:
        train_embedded(config, say)


def train_embedded(config: TrainConfig, say: Say) -> None:
    """Train or resume an embedded refiner, then write thresholds, card and curve."""
    process_group = join_process_group()
    speak: Say = say if process_group.leads else lambda _: None
    log, thresholds = make_refiner(
        config, say=speak, report=lambda line: speak(progress_line(line, config.steps)), process_group=process_group
    )
    if thresholds is not None:
        output = Path(config.output)
        draw_training_curve(log, output / "curve.png")
        card = model_card(config, load_pages(config), log, thresholds)
        (output / "model" / "README.md").write_text(card, encoding="utf-8")
        speak(f"word F1 {thresholds.chunk.word_f1:.4f} at min_remove_margin {thresholds.chunk.margin:g}")
        speak(f"The model is in {output / 'model'}; measure it with jobs/evaluate.py")
