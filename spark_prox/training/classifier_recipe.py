"""Train the line classifier alone: a baseline, a writer without a GPU, a teacher. It takes minutes and no torch.

Its threshold is chosen on validation hosts; the card says how good it is there and on test hosts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.errors import InputError
from spark_prox.evaluation.metrics import PageWords, mean
from spark_prox.heuristics.line_classifier import LineClassifier, train_line_classifier
from spark_prox.training.model_card import FIGURES_MARK, split_table

__all__ = ["ClassifierConfig", "make_classifier"]

Say = Callable[[str], None]
_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)

_CARD = """# Line classifier

Gradient boosting over line features and hashed words (`spark_prox.heuristics.line_classifier`), made by
`jobs/train.py`, kind `line_classifier`. `line_classifier.npz` holds arrays only; reading it runs no code.

{splits}

Keep a line from probability {threshold:g} on (chosen on validation hosts among {choices}).

| split | pages | word F1, mean over pages | keep everything |
|---|---|---|---|
{rows}

{mark}
"""


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The settings of a line classifier's training.

    Attributes:
        labelled: files or folders of line-labelled pages, see `labels`.
        output: folder for `line_classifier.npz` and its card.
        exclude_sources: sources never trained on.
        seed: of everything random.
    """

    labelled: tuple[str, ...]
    output: str
    exclude_sources: tuple[str, ...] = ("daniel_waddle",)
    seed: int = 0


def _word_f1(pages: Sequence[LabelledPage], scores: Sequence[Sequence[float]], threshold: float) -> float:
    return mean(
        [
            PageWords(page.lines, [value >= 0.5 for value in page.keep])
            .score([value >= threshold for value in own])
            .words.f1
            for page, own in zip(pages, scores, strict=True)
        ]
    )


def make_classifier(config: ClassifierConfig, say: Say = lambda _: None) -> float:
    """Train, choose a threshold, measure, store; gives word F1 on test hosts.

    Raises:
        InputError: LABELS_MISSING, TOO_FEW_LABELS.
    """
    pages = [page for page in load_labelled_pages(config.labelled) if page.source not in config.exclude_sources]
    split = {name: pages_of_split(pages, name) for name in ("train", "validation", "test")}
    if not all(split.values()):
        raise InputError("TOO_FEW_LABELS", f"{len(pages)} pages leave a split empty.", "Give pages of more hosts.")
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    train_line_classifier(split["train"], seed=config.seed, say=say).save(output / "line_classifier.npz")
    classifier = LineClassifier.load(output / "line_classifier.npz")
    scores = {name: [classifier.score(page.lines) for page in split[name]] for name in ("validation", "test")}
    threshold = max(_THRESHOLDS, key=lambda value: _word_f1(split["validation"], scores["validation"], value))
    # As a writer (`model.engine: author`) it removes below 0.5 at most: a higher threshold counts as 0.5.
    margin = max(0.0, math.log((1 - threshold) / threshold))
    (output / "line_classifier.thresholds.json").write_text(json.dumps({"min_remove_margin": round(margin, 4)}) + "\n")
    rows, f1 = [], 0.0
    for name in ("validation", "test"):
        f1, keep = _word_f1(split[name], scores[name], threshold), _word_f1(split[name], scores[name], 0.0)
        rows.append(f"| {name} | {len(split[name])} | {f1:.3f} | {keep:.3f} |")
    card = _CARD.format(
        splits="\n".join(split_table(pages)),
        threshold=threshold,
        choices=", ".join(map(str, _THRESHOLDS)),
        rows="\n".join(rows),
        mark=FIGURES_MARK,
    )
    (output / "README.md").write_text(card, encoding="utf-8")
    say(f"word F1 {f1:.4f} on test hosts at threshold {threshold:g}; the classifier is in {output}")
    return f1
