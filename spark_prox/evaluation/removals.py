"""How right a run's removals are on pages that a person labelled line by line: precision and recall, with intervals.

Resamples pages, not lines: lines of one page are right or wrong together. Knows no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spark_prox.annotation.labels import LabelledPage
from spark_prox.evaluation.metrics import Counts, bootstrap_interval, sum_counts

__all__ = ["RemovalFigures", "Share", "removal_figures", "removal_table"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True, kw_only=True)
class RemovalFigures:
    """A run's removals against a person's labels.

    Attributes:
        pages, lines: that were labelled.
        removed: lines that the run removed; to_remove: those that the person would remove.
        precision: of the removed lines, the share that the person would remove; recall: of those, the share that the
            run removed. `words_precision` and `words_recall` count the words of these lines.
    """

    pages: int
    lines: int
    removed: int
    to_remove: int
    precision: Share
    recall: Share
    words_precision: Share
    words_recall: Share


def removal_figures(pages: Sequence[LabelledPage], removed: Mapping[str, Sequence[bool]]) -> RemovalFigures | None:
    """Compare decisions with labels; None without a page that has both.

    Args:
        removed: for each page's id, which of its lines the run removed; pages of another number of lines are left out.
    """
    chosen = [page for page in pages if len(removed.get(page.page_id, ())) == len(page.lines)]
    if not chosen:
        return None
    lines = [_counts(page, removed[page.page_id], [1] * len(page.lines)) for page in chosen]
    words = [_counts(page, removed[page.page_id], [len(line.split()) for line in page.lines]) for page in chosen]
    total = sum_counts(lines)
    return RemovalFigures(
        pages=len(chosen),
        lines=sum(len(page.lines) for page in chosen),
        removed=total.predicted,
        to_remove=total.gold,
        precision=_share(lines, "precision"),
        recall=_share(lines, "recall"),
        words_precision=_share(words, "precision"),
        words_recall=_share(words, "recall"),
    )


def removal_table(figures: RemovalFigures) -> str:
    """The figures as text."""
    return (
        f"{figures.pages:,} pages, {figures.lines:,} lines: the run removed {figures.removed:,}, "
        f"you would remove {figures.to_remove:,}.\n"
        f"precision of removals  {figures.precision}  by lines, {figures.words_precision}  by words\n"
        f"recall of removals     {figures.recall}  by lines, {figures.words_recall}  by words\n"
        "In brackets: 95% intervals, by bootstrap over pages."
    )


def _counts(page: LabelledPage, removed: Sequence[bool], weights: Sequence[int]) -> Counts:
    rows = list(zip(page.keep, removed, weights, strict=True))
    return Counts(
        sum(weight for keep, gone, weight in rows if gone and keep < 0.5),
        sum(weight for _, gone, weight in rows if gone),
        sum(weight for keep, _, weight in rows if keep < 0.5),
    )


def _share(counts: Sequence[Counts], name: str) -> Share:
    def of(drawn: Sequence[int]) -> float:
        value: float = getattr(sum_counts([counts[index] for index in drawn]), name)
        return value

    low, high = bootstrap_interval(len(counts), of)
    return Share(value=of(range(len(counts))), low=low, high=high)
