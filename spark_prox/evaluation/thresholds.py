"""Choose how sure the model must be before a line is removed or a document dropped, on validation hosts alone.

A margin is log p(keep) - log p(remove). Something is removed where the margin is below 0 and at least
`min_margin` away from it, or `short_margin` for a short line; the same rule as `Policy.min_remove_margin`,
`min_remove_margin_short` and `min_drop_margin`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from spark_prox.annotation.labels import LabelledPage
from spark_prox.evaluation.metrics import PageScore, PageWords, mean, paired_difference, sum_counts
from spark_prox.programs import Policy

__all__ = [
    "MARGINS",
    "MarginPoint",
    "best_margin",
    "choose_margins",
    "drop_margin",
    "kept_by_margin",
    "margin_curve",
    "rule_points",
    "score_at",
]

MARGINS = tuple(step / 4 for step in range(29))
SHORT_MARGINS = (0.0, 0.25, 0.5, 1.0, None)
_AS_GOOD = 0.002  # of word F1, of which choices count as equal
_SHORT_LINE_WORDS = Policy().short_line_words
MAX_REMOVED_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class MarginPoint:
    """The figures of one choice of the margin.

    Attributes:
        margin: the choice.
        short_margin: the choice for short lines; None where it is no other.
        chunk_f1: of removed lines, pooled over pages.
        word_f1: mean over pages.
        word_recall: mean over pages.
        share_removed: mean over pages of the share of words removed.
        worse_than_keeping: sources on which word F1 lies below keeping everything, with 95% confidence.
    """

    margin: float
    short_margin: float | None
    word_f1: float
    chunk_f1: float
    word_recall: float
    share_removed: float
    worse_than_keeping: tuple[str, ...]


def kept_by_margin(
    lines: Sequence[str], margins: Sequence[float], min_margin: float, short_margin: float | None = None
) -> list[bool]:
    """Decide which lines stay. A page that would lose 95% of its words stays as it is, as in the default policy."""
    words = [len(line.split()) for line in lines]
    short = min_margin if short_margin is None else short_margin
    keep = [
        margin >= 0 or -margin < (short if count < _SHORT_LINE_WORDS else min_margin)
        for margin, count in zip(margins, words, strict=True)
    ]
    removed = sum(count for count, kept in zip(words, keep, strict=True) if not kept)
    return [True] * len(keep) if removed >= MAX_REMOVED_SHARE * sum(words) else keep


def _page_words(pages: Sequence[LabelledPage]) -> list[PageWords]:
    return [PageWords(page.lines, [keep >= 0.5 for keep in page.keep]) for page in pages]


def score_at(
    pages: Sequence[LabelledPage],
    margins: Sequence[Sequence[float]],
    min_margin: float,
    short_margin: float | None = None,
) -> list[PageScore]:
    """Score every page at one choice of the margins."""
    return _scores(pages, _page_words(pages), margins, min_margin, short_margin)


def _scores(
    pages: Sequence[LabelledPage],
    words: Sequence[PageWords],
    margins: Sequence[Sequence[float]],
    min_margin: float,
    short_margin: float | None,
) -> list[PageScore]:
    return [
        own.score(kept_by_margin(page.lines, margin, min_margin, short_margin))
        for page, own, margin in zip(pages, words, margins, strict=True)
    ]


def margin_curve(
    pages: Sequence[LabelledPage],
    margins: Sequence[Sequence[float]],
    choices: Sequence[float] = MARGINS,
    short_margin: float | None = None,
) -> list[MarginPoint]:
    """Word F1, recall and what is removed for each choice."""
    words = _page_words(pages)
    keeping = [own.score([True] * len(page.lines)).words.f1 for page, own in zip(pages, words, strict=True)]
    by_source: dict[str, list[int]] = {}
    for index, page in enumerate(pages):
        by_source.setdefault(page.source, []).append(index)
    points = []
    for choice in choices:
        scores = _scores(pages, words, margins, choice, short_margin)
        f1s = [score.words.f1 for score in scores]
        points.append(
            MarginPoint(
                margin=choice,
                short_margin=short_margin,
                word_f1=mean(f1s),
                chunk_f1=sum_counts([score.removed for score in scores]).f1,
                word_recall=mean([score.words.recall for score in scores]),
                share_removed=mean([score.share_removed for score in scores]),
                worse_than_keeping=tuple(
                    source
                    for source, chosen in sorted(by_source.items())
                    if paired_difference([f1s[i] for i in chosen], [keeping[i] for i in chosen], rounds=300)[2] < 0
                ),
            )
        )
    return points


def best_margin(points: Sequence[MarginPoint]) -> MarginPoint:
    """The best word F1 among choices that harm no source; the widest margin where every choice does."""
    safe = [point for point in points if not point.worse_than_keeping]
    return max(safe, key=lambda point: point.word_f1) if safe else points[-1]


def choose_margins(
    pages: Sequence[LabelledPage], margins: Sequence[Sequence[float]]
) -> tuple[MarginPoint, list[MarginPoint]]:
    """The margins for long and for short lines, and the curve that they lie on.

    Of the choices whose word F1 is as good as the best one's, the one that removes lines best: a short line weighs
    little in words, and a certainty that is right for paragraphs keeps many menus.
    """
    curves = [margin_curve(pages, margins, short_margin=short) for short in SHORT_MARGINS]
    found = [(best_margin(curve), curve) for curve in curves]
    enough = max(point.word_f1 for point, _ in found) - _AS_GOOD
    return max((pair for pair in found if pair[0].word_f1 >= enough), key=lambda pair: pair[0].chunk_f1)


def drop_margin(content_margins: Sequence[float], *, max_lost: float = 0.003) -> float:
    """The least margin at which at most the given share of documents known to be content is dropped; never below 0."""
    if not content_margins:
        return 0.0
    ordered = sorted(content_margins)
    limit = ordered[min(len(ordered) - 1, int(max_lost * len(ordered)))]
    return max(0.0, (math.floor(-100 * limit) + 1) / 100)


def rule_points(
    pages: Sequence[LabelledPage], verdicts: Mapping[str, Sequence[Sequence[bool]]], leave_out: Collection[str]
) -> dict[str, MarginPoint]:
    """One point for each writer without a threshold, beside the curves of the others."""
    points = {}
    for writer, flags in verdicts.items():
        if writer not in leave_out:
            margins = [[1.0 if kept else -1.0 for kept in page] for page in flags]
            points[writer] = margin_curve(pages, margins, (1.0,))[0]
    return points
