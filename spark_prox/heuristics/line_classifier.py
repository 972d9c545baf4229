"""A text-only classifier of lines: the baseline for any language model, and the teacher of pages without labels.

Gradient boosting over `line_features` and the score of a linear model on hashed words and word pairs, both weighted so
that a line counts by its words. Trained by scikit-learn, imported inside the functions; stored as arrays and asked with
numpy alone; no torch.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_prox.annotation.labels import LabelledPage, group_of
from spark_prox.errors import InputError, ModelError
from spark_prox.heuristics.boosted_trees import BoostedTrees
from spark_prox.heuristics.hashed_words import MAX_CHARS, HashedLines, hash_lines
from spark_prox.heuristics.line_features import line_features, with_context

__all__ = ["LineClassifier", "out_of_fold_scores", "train_line_classifier"]

_MAX_BYTES = 1 << 28  # of all arrays, unpacked
_LONGEST_PAGE = 4096  # lines that are judged together: bounds the memory for a document of any length


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


@dataclass(frozen=True, eq=False)
class LineClassifier:
    """A trained classifier: pages in, the probability that each line is main content out.

    Attributes:
        weights: of the linear model on hashed words, and its intercept; shape (buckets + 1,), float32.
        trees: boosting on line features and linear scores.
    """

    weights: Any = field(repr=False)
    trees: BoostedTrees = field(repr=False)

    def margins(self, lines: Sequence[str]) -> list[float]:
        """log p(keep) - log p(remove) for each line of one page; 4,096 lines are judged together at most."""
        margins: list[float] = []
        for start in range(0, len(lines), _LONGEST_PAGE):
            block = lines[start : start + _LONGEST_PAGE]
            linear = hash_lines(block).dot(self.weights) + self.weights[-1]
            margins += self.trees.log_odds(_features([block], linear)).tolist()
        return margins

    def score(self, lines: Sequence[str]) -> list[float]:
        """Probability of "keep" for each line of one page."""
        return [0.5 * (1 + math.tanh(margin / 2)) for margin in self.margins(lines)]

    def save(self, path: str | Path) -> None:
        """Write the arrays as a compressed `.npz` file; equal classifiers give equal bytes."""
        import numpy as np

        content = io.BytesIO()
        np.savez_compressed(content, weights=self.weights.astype(np.float16), **self.trees.arrays())
        Path(path).write_bytes(content.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> LineClassifier:
        """Read what `save` wrote; reading runs no code of the file.

        Raises:
            ModelError: CLASSIFIER_UNREADABLE.
        """
        import numpy as np

        try:
            if not Path(path).is_file():  # a pipe would block for ever
                raise FileNotFoundError
            data = io.BytesIO(Path(path).read_bytes())
            with zipfile.ZipFile(data) as files:
                if sum(member.file_size for member in files.infolist()) > _MAX_BYTES:
                    raise ValueError("too large")
            data.seek(0)
            with np.load(data, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return cls(arrays.pop("weights").astype(np.float32), BoostedTrees.of_arrays(arrays))
        except (OSError, ValueError, KeyError, AttributeError, MemoryError, zipfile.BadZipFile) as error:
            raise ModelError(
                "CLASSIFIER_UNREADABLE",
                f"{str(path)!r} is no line classifier: {type(error).__name__}.",
                "Train one with jobs/train.py.",
            ) from error


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
    weights = np.array([max(1, min(60, len(line[:MAX_CHARS].split()))) for page in texts for line in page], dtype=float)
    hashed = _hash_pages(texts).matrix()
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
    # The half-precision values that are stored are used from the start.
    weights = np.append(linear.coef_[0], linear.intercept_).astype(np.float16).astype(np.float32)
    return LineClassifier(weights, BoostedTrees.of_sklearn(boosting))


def _hash_pages(pages: Sequence[Sequence[str]]) -> HashedLines:
    return hash_lines(line for page in pages for line in page)


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
