"""Verdicts of every author on the same pages: the rules, the line classifier, an embedded refiner.

The refiner's come from the production prompt, engine and generate code; its margin and the classifier's threshold are
chosen on validation hosts. Knows no figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.models import model_directory
from spark_prox.refiners.baselines import RULES
from spark_prox.refiners.labels import LabelledPage
from spark_prox.refiners.line_classifier import LineClassifier, train_line_classifier
from spark_prox.refiners.reading import Reader
from spark_prox.refiners.thresholds import best_margin, kept_by_margin, margin_curve

__all__ = ["CLASSIFIER", "REFINER", "PageVerdicts", "classifier_for", "model_margins", "read_verdicts"]

REFINER, CLASSIFIER = "embedded refiner", "line classifier"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PageVerdicts:
    """What authors say about pages.

    Attributes:
        keep: for each author, for each page, which lines it keeps.
        margins: for each author with a threshold, for each page, log-odds of keeping each line.
    """

    keep: dict[str, list[list[bool]]]
    margins: dict[str, list[list[float]]]


def model_margins(model: str) -> tuple[float, float]:
    """The margins (remove a line, drop a document) that training left beside a model; 0 and 0 without them."""
    file = model_directory(model) / "thresholds.json"
    if not file.is_file():
        return 0.0, 0.0
    chosen = json.loads(file.read_text(encoding="utf-8"))
    return float(chosen["min_remove_margin"]), float(chosen["min_drop_margin"])


def classifier_for(path: str | Path, pages: Sequence[LabelledPage], say: Say) -> LineClassifier:
    """The line classifier in a file that this project's jobs wrote, or a new one, trained on pages and stored there."""
    path = Path(path)
    if not path.exists():
        say(f"training the line classifier on {len(pages)} pages of training hosts")
        path.parent.mkdir(parents=True, exist_ok=True)
        train_line_classifier(pages, say=say).save(path)
    return LineClassifier.load(path)


def _classifier_margins(classifier: LineClassifier, pages: Sequence[LabelledPage]) -> list[list[float]]:
    """Log-odds of keeping, moved by 3 nats: choosing a margin of 0 to 7 then means removing below 0.95 to 0.02."""
    return [[math.log(max(1e-6, p) / max(1e-6, 1 - p)) - 3.0 for p in classifier.score(page.lines)] for page in pages]


def read_verdicts(
    pages: Sequence[LabelledPage],
    validation: Sequence[LabelledPage],
    *,
    reader: Reader,
    min_remove_margin: float,
    classifier: LineClassifier | None,
    say: Say,
) -> PageVerdicts:
    """Let every author judge the pages; the classifier's threshold is chosen on the validation pages."""
    keep = {name: [rule(page.lines) for page in pages] for name, rule in RULES.items()}
    margins: dict[str, list[list[float]]] = {}
    if classifier is not None:
        say(f"{CLASSIFIER}: {len(validation)} validation pages, then {len(pages)} pages")
        margin = best_margin(margin_curve(validation, _classifier_margins(classifier, validation))).margin
        margins[CLASSIFIER] = _classifier_margins(classifier, pages)
        keep[CLASSIFIER] = [
            kept_by_margin(page.lines, m, margin) for page, m in zip(pages, margins[CLASSIFIER], strict=True)
        ]
    say(f"{REFINER}: {len(pages)} pages at min_remove_margin {min_remove_margin:g}")
    margins[REFINER] = reader.line_margins([page.lines for page in pages])
    keep[REFINER] = [
        kept_by_margin(page.lines, m, min_remove_margin) for page, m in zip(pages, margins[REFINER], strict=True)
    ]
    return PageVerdicts(keep=keep, margins=margins)
