"""An ensemble of a language model and a line classifier: both score each line, and their log-odds are averaged.

The two err on different lines: the model reads the words of lines in order, the classifier sees the whole page at once.
A model has an ensemble if its folder holds `second_opinion.npz` (the line classifier) and `second_opinion.json` (the
model's weight). The classifier needs numpy only and a hundredth of the model's time. Knows no Spark.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spark_prox.errors import ModelError
from spark_prox.heuristics.line_classifier import LineClassifier
from spark_prox.metadata import finite_number, read_object
from spark_prox.models import model_directory

__all__ = ["Ensemble", "open_ensemble", "store_ensemble"]

_CLASSIFIER, _SETTINGS = "second_opinion.npz", "second_opinion.json"


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A line classifier and its weight beside a language model, as `generate_programs` uses them.

    Attributes:
        classifier: gives the other margin.
        model_share: weight of the language model's margin, 0 to 1; the classifier has the rest.
    """

    classifier: LineClassifier
    model_share: float

    def margins(self, lines: Sequence[str]) -> array[float]:
        """The classifier's log p(keep) - log p(remove) for each line of a document, four bytes a line."""
        return array("f", self.classifier.margins(lines))

    def combine(self, model: Sequence[float], classifier: Sequence[float]) -> tuple[float, ...]:
        """The margins that count, of lines that both have judged."""
        own, other = self.model_share, 1 - self.model_share
        return tuple(own * first + other * second for first, second in zip(model, classifier, strict=True))


def open_ensemble(model: str) -> Ensemble | None:
    """The ensemble of a model's folder, read once in a process unless its files change; None without one.

    Raises:
        ModelError: MODEL_NOT_FOUND, CLASSIFIER_UNREADABLE.
    """
    directory = model_directory(model, weights=False)
    files = directory / _CLASSIFIER, directory / _SETTINGS
    if not files[0].is_file():
        return None
    written = tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)
    return _read(*files, written)


@lru_cache(maxsize=4)
def _read(arrays: Path, settings: Path, written: tuple[int, ...]) -> Ensemble:
    classifier = LineClassifier.load(arrays)
    try:
        share = finite_number(settings, read_object(settings), "model_share")
    except ModelError as error:
        raise ModelError(
            "CLASSIFIER_UNREADABLE", f"{str(arrays)!r} has no share of the model in {settings.name} beside it."
        ) from error
    return Ensemble(classifier=classifier, model_share=share)


def store_ensemble(opinion: Ensemble, model: Path) -> None:
    """Store a line classifier and its weight in a model's folder."""
    opinion.classifier.save(model / _CLASSIFIER)
    (model / _SETTINGS).write_text(json.dumps({"model_share": opinion.model_share}) + "\n", encoding="utf-8")
