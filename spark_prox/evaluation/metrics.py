"""Metrics of a refinement, computed from kept lines and gold lines. Knows nothing of models or programs.

Word F1 is the F1 of the bag of kept words against the bag of gold words, as in main-content extraction.
Chunk F1 is that of the removed line numbers, document F1 that of the kept documents (both as in ProX, arXiv
2409.17115).
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "Counts",
    "PageScore",
    "PageWords",
    "auc",
    "bootstrap_interval",
    "f1",
    "mean",
    "paired_difference",
    "score_documents",
    "score_page",
    "sum_counts",
]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Counts:
    """Hits, what was predicted and what there was to find."""

    hits: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        return self.hits / self.predicted if self.predicted else float(not self.gold)

    @property
    def recall(self) -> float:
        return self.hits / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        return f1(self)


@dataclass(frozen=True, kw_only=True)
class PageScore:
    """One page under one writer.

    Attributes:
        words: bag of kept words against the bag of gold words.
        removed: removed lines against lines to remove.
        page_words: words of the whole page.
    """

    words: Counts
    removed: Counts
    page_words: int

    @property
    def share_removed(self) -> float:
        """Share of the page's words that are gone."""
        return 1.0 - self.words.predicted / self.page_words if self.page_words else 0.0


def f1(counts: Counts) -> float:
    """2·hits / (predicted + gold); 1 where there was nothing to find and nothing was predicted."""
    total = counts.predicted + counts.gold
    return 2 * counts.hits / total if total else 1.0


def sum_counts(counts: Sequence[Counts]) -> Counts:
    """Pool counts over pages."""
    return Counts(sum(c.hits for c in counts), sum(c.predicted for c in counts), sum(c.gold for c in counts))


class PageWords:
    """A page cut into words once, to be scored under many verdicts.

    Args:
        lines: the page's lines.
        gold: which of them people keep.
    """

    def __init__(self, lines: Sequence[str], gold: Sequence[bool]) -> None:
        self._words = [_WORD.findall(line.lower()) for line in lines]
        self._gold = list(gold)
        self._gold_bag = self._bag(gold)
        self._total = sum(map(len, self._words))

    def _bag(self, keep: Sequence[bool]) -> Counter[str]:
        kept = (words for words, kept in zip(self._words, keep, strict=True) if kept)
        return Counter(itertools.chain.from_iterable(kept))

    def score(self, keep: Sequence[bool], text: str | None = None) -> PageScore:
        """Score a verdict: which lines a writer keeps, and its text where that is not just those lines."""
        bag = self._bag(keep) if text is None else Counter(_WORD.findall(text.lower()))
        return PageScore(
            words=Counts((self._gold_bag & bag).total(), bag.total(), self._gold_bag.total()),
            removed=Counts(
                sum(not g and not k for g, k in zip(self._gold, keep, strict=True)),
                sum(not k for k in keep),
                sum(not g for g in self._gold),
            ),
            page_words=self._total,
        )


def score_page(lines: Sequence[str], gold: Sequence[bool], keep: Sequence[bool]) -> PageScore:
    """Score one page once: its lines, which of them people keep, and which of them the writer kept."""
    return PageWords(lines, gold).score(keep)


def score_documents(gold: Sequence[bool], keep: Sequence[bool]) -> Counts:
    """Counts of the document level; positive = keep."""
    return Counts(sum(g and k for g, k in zip(gold, keep, strict=True)), sum(keep), sum(gold))


def auc(gold: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the ROC curve, ties counted half; scores may be infinite. NaN where one class is absent."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if len(set(gold)) < 2:
        return float("nan")
    return float(roc_auc_score(gold, np.clip(scores, -1e300, 1e300)))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    return sum(values) / len(values) if values else float("nan")


def bootstrap_interval(
    count: int, statistic: Callable[[Sequence[int]], float], *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of a statistic of resampled indices 0..count-1; NaN rounds are left out."""
    import numpy as np
    from scipy.stats import DegenerateDataWarning, bootstrap

    if count < 2:
        value = statistic([0]) if count else float("nan")
        return value, value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # its own interval is NaN as soon as one round is
        drawn = bootstrap(
            (np.arange(count),), statistic, n_resamples=rounds, vectorized=False, method="percentile", rng=seed
        ).bootstrap_distribution
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return (float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], *, rounds: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ours minus theirs on the same pages, with its 95% bootstrap interval."""
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    low, high = bootstrap_interval(
        len(gaps), lambda drawn: mean([gaps[index] for index in drawn]), rounds=rounds, seed=seed
    )
    return mean(gaps), low, high
