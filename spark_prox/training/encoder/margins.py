"""Choose how sure the line encoder must be, on validation hosts: as good as the best by words, and kind to short lines.

Word F1 hardly sees a title or a short line; people do. Of the choices whose word F1 is nearly the best one's, the one
that keeps most short lines of content is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from spark_prox.annotation.labels import LabelledPage
from spark_prox.evaluation.metrics import PageWords, mean
from spark_prox.evaluation.thresholds import kept_by_margin

__all__ = ["ChosenMargins", "choose_encoder_margins"]

_LONG = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
_SHORT = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
_AS_GOOD = 0.004
_SHORT_WORDS = 8


@dataclass(frozen=True, kw_only=True)
class ChosenMargins:
    """The choice, and what it gives on validation hosts.

    Attributes:
        long_margin, short_margin: for lines of at least eight words and for shorter ones.
        drop_margin: for the document level.
        word_f1: mean over pages.
        short_kept: share of the short lines of content that stay.
        first_kept: share of pages whose first line of content stays.
    """

    long_margin: float
    short_margin: float
    word_f1: float
    short_kept: float
    first_kept: float
    drop_margin: float = 0.0

    def with_drop(self, margin: float) -> ChosenMargins:
        """The same with a margin for the document level."""
        return dataclasses.replace(self, drop_margin=margin)

    def policy(self) -> dict[str, float]:
        """The policy's fields that the model recommends."""
        return {
            "min_remove_margin": self.long_margin,
            "min_remove_margin_short": self.short_margin,
            "min_drop_margin": self.drop_margin,
        }


def choose_encoder_margins(pages: Sequence[LabelledPage], margins: Sequence[Sequence[float]]) -> ChosenMargins:
    """The choice for labelled pages and the margins of their lines."""
    own = [PageWords(page.lines, [keep >= 0.5 for keep in page.keep]) for page in pages]
    points = [_point(pages, own, margins, long, short) for long in _LONG for short in _SHORT]
    enough = max(point.word_f1 for point in points) - _AS_GOOD
    return max((point for point in points if point.word_f1 >= enough), key=lambda point: point.short_kept)


def _point(
    pages: Sequence[LabelledPage],
    own: Sequence[PageWords],
    margins: Sequence[Sequence[float]],
    long: float,
    short: float,
) -> ChosenMargins:
    f1s, short_lines, first_lines = [], [], []
    for page, words, margin in zip(pages, own, margins, strict=True):
        keep = kept_by_margin(page.lines, margin, long, short)
        f1s.append(words.score(keep).words.f1)
        gold = [number for number, label in enumerate(page.keep) if label >= 0.5]
        first_lines += [float(keep[number]) for number in gold[:1]]
        short_lines += [float(keep[number]) for number in gold if len(page.lines[number].split()) < _SHORT_WORDS]
    return ChosenMargins(
        long_margin=long,
        short_margin=short,
        word_f1=mean(f1s),
        short_kept=mean(short_lines) if short_lines else 1.0,
        first_kept=mean(first_lines) if first_lines else 1.0,
    )
