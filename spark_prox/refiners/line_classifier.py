"""A text-only classifier of lines: the yardstick for any language model, and the teacher of pages without labels.

Gradient boosting over `line_features` and the score of a linear model on hashed words and word pairs, both weighted so
that a line counts by its words. scikit-learn, imported inside the functions; no torch.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_prox.errors import InputError
from spark_prox.refiners.labels import LabelledPage, group_of
from spark_prox.refiners.line_features import line_features, with_context

__all__ = ["LineClassifier", "out_of_fold_scores", "train_line_classifier"]

_MAX_CHARS = 400
_HASH_BITS = 18


def _hashed(pages: Sequence[Sequence[str]]) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    hasher = HashingVectorizer(
        n_features=1 << _HASH_BITS, ngram_range=(1, 2), alternate_sign=False, token_pattern=r"\w+"
    )
    return hasher.transform(line[:_MAX_CHARS] for page in pages for line in page)


def _fit_linear(features: Any, keep: Any, weights: Any, seed: int) -> Any:
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss", alpha=3e-6, max_iter=8, tol=None, random_state=seed)
    return model.fit(features, keep, sample_weight=weights)


def _features(pages: Sequence[Sequence[str]], linear_scores: Any) -> Any:
    """The boosting model's input: line features and the linear score with its neighbours; scores are one flat array."""
    import numpy as np

    parts, start = [], 0
    for lines in pages:
        score = linear_scores[start : start + len(lines), None].astype(np.float32)
        start += len(lines)
        parts.append(np.concatenate([line_features(lines), with_context(score, columns=(0,))], axis=1))
    return np.concatenate(parts)


@dataclass(frozen=True)
class LineClassifier:
    """A trained classifier: pages in, the probability that each line is main content out.

    Attributes:
        linear: linear model on hashed words.
        boosting: gradient boosting on line features and linear scores.
    """

    linear: Any = field(repr=False)
    boosting: Any = field(repr=False)

    def score(self, lines: Sequence[str]) -> list[float]:
        """Probability of "keep" for each line of one page."""
        if not lines:
            return []
        linear = self.linear.decision_function(_hashed([lines]))
        return [float(p) for p in self.boosting.predict_proba(_features([lines], linear))[:, 1]]

    def save(self, path: str | Path) -> None:
        """Write the classifier; only files of your own making should ever be loaded again (it is a pickle)."""
        Path(path).write_bytes(pickle.dumps((self.linear, self.boosting)))

    @classmethod
    def load(cls, path: str | Path) -> LineClassifier:
        """Read what `save` wrote. Never load a file from elsewhere: unpickling runs code."""
        return cls(*pickle.loads(Path(path).read_bytes()))


def train_line_classifier(
    pages: Sequence[LabelledPage], *, seed: int = 0, folds: int = 4, say: Callable[[str], None] = lambda _: None
) -> LineClassifier:
    """Train on labelled pages; the linear scores that the boosting model learns from are out of fold by host.

    Raises:
        InputError: fewer hosts than folds, or labels of one kind alone.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold

    keep = np.array([value >= 0.5 for page in pages for value in page.keep])
    groups = np.array([group_of(page) for page in pages for _ in page.lines])
    if len(set(groups)) < folds or keep.all() or not keep.any():
        raise InputError(
            "TOO_FEW_LABELS",
            f"{len(set(groups))} hosts with {int(keep.sum())} kept of {len(keep)} lines.",
            f"Give pages of at least {folds} hosts with kept and removed lines.",
        )
    texts = [page.lines for page in pages]
    weights = np.array(
        [max(1, min(60, len(line[:_MAX_CHARS].split()))) for page in texts for line in page], dtype=float
    )
    hashed = _hashed(texts)
    say(f"{len(keep):,} lines hashed")
    out_of_fold = np.zeros(len(keep))
    for train, rest in GroupKFold(folds).split(hashed, keep, groups):
        out_of_fold[rest] = _fit_linear(hashed[train], keep[train], weights[train], seed).decision_function(
            hashed[rest]
        )
    linear = _fit_linear(hashed, keep, weights, seed)
    say("linear models trained")
    boosting = HistGradientBoostingClassifier(
        max_iter=250, learning_rate=0.08, max_leaf_nodes=31, min_samples_leaf=40, l2_regularization=1.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    boosting.fit(_features(texts, out_of_fold), keep, sample_weight=np.sqrt(weights))
    say("boosting trained")
    return LineClassifier(linear, boosting)


def out_of_fold_scores(
    pages: Sequence[LabelledPage], *, folds: int = 4, seed: int = 0, say: Callable[[str], None] = lambda _: None
) -> list[list[float]]:
    """Scores for each page by a classifier that saw no page of its host: soft labels without memory of the labels."""
    from sklearn.model_selection import GroupKFold

    scores: list[list[float]] = [[] for _ in pages]
    for fold, (train, rest) in enumerate(GroupKFold(folds).split(pages, groups=[group_of(page) for page in pages])):
        say(f"fold {fold + 1} of {folds}")
        classifier = train_line_classifier([pages[index] for index in train], seed=seed, folds=3)
        for index in rest:
            scores[index] = classifier.score(pages[index].lines)
    return scores
