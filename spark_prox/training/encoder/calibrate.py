"""Fit the second stage of a line encoder on validation hosts: how much benefit of the doubt a page's lines get.

The encoder has seen its training pages many times, and its margins on them are too good. On validation hosts they are
honest, and few: so the second stage has three numbers to fit. They are chosen to give the best word F1 under a policy
that wants to be sure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spark_prox.annotation.labels import LabelledPage
from spark_prox.engines.line_calibration import LineCalibration
from spark_prox.evaluation.metrics import PageWords
from spark_prox.evaluation.thresholds import kept_by_margin
from spark_prox.prompts.line_shape import PROSE_LENGTH, line_shapes

__all__ = ["corrected_margins", "fit_calibration"]

_LONG, _SHORT = 0.75, 1.0  # how sure, for long and for short lines
_MOST = 2.0
_STEP = 0.25
_START = LineCalibration(
    intercept=0.0,
    per_prose=0.0,
    per_page=0.0,
    most=_MOST,
    prose_length=PROSE_LENGTH,
    title_lines=10,
    title_margin=3.0,
)
_SMOOTH = (0.1, 0.2, 0.4, 0.2, 0.1)  # a page's curve is a staircase: what is near counts as well
_RIDGE = 0.0005  # against large numbers, in units of word F1


def fit_calibration(
    pages: Sequence[LabelledPage], margins: Sequence[Any], page_margins: Sequence[float]
) -> LineCalibration:
    """The calibration for labelled pages of hosts that the model was not trained on.

    Args:
        margins: the model's margins of each page's lines, as arrays.
        page_margins: its margins of the pages.

    Climbs from numbers that change nothing, one number at a time, in ever smaller steps.
    """
    import numpy as np

    steps = np.arange(-2, _MOST / _STEP + 3) * _STEP
    curves = np.array([_curve(page, own, steps) for page, own in zip(pages, margins, strict=True)])
    features = np.array([_features(page, *own) for page, *own in zip(pages, margins, page_margins, strict=True)])
    center, spread = features.mean(0), features.std(0) + 1e-6
    scaled = (features - center) / spread
    rows = np.arange(len(pages))

    def worth(numbers: Any) -> float:
        benefit = np.clip(numbers[0] + scaled @ numbers[1:], 0, _MOST)
        at = (benefit - steps[0]) / _STEP
        left = np.minimum(at.astype(int), len(steps) - 2)
        share = at - left
        f1s = curves[rows, left] * (1 - share) + curves[rows, left + 1] * share
        return float(f1s.mean() - _RIDGE * (numbers[1:] ** 2).sum())

    numbers, size = np.zeros(3), 0.5
    best = worth(numbers)
    while size > 0.05:
        moves = [numbers + sign * size * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
        value, moved = max(((worth(move), move) for move in moves), key=lambda pair: pair[0])
        if value > best + 1e-7:
            best, numbers = value, moved
        else:
            size /= 2
    weights = numbers[1:] / spread
    return replace(
        _START,
        intercept=round(float(numbers[0] - weights @ center), 3),
        per_prose=round(float(weights[0]), 3),
        per_page=round(float(weights[1]), 3),
    )


def corrected_margins(
    calibration: LineCalibration, pages: Sequence[LabelledPage], margins: Sequence[Any], page_margins: Sequence[float]
) -> list[list[float]]:
    """The margins of each page's lines after the second stage; arguments as in `fit_calibration`."""
    return [
        calibration.apply(own, _lengths(page), page_margin).tolist()
        for page, own, page_margin in zip(pages, margins, page_margins, strict=True)
    ]


def _curve(page: LabelledPage, margins: Any, benefits: Any) -> Any:
    """Word F1 of a page for each benefit, smoothed."""
    import numpy as np

    words = PageWords(page.lines, [keep >= 0.5 for keep in page.keep])
    f1s = [
        words.score(kept_by_margin(page.lines, (margins + benefit).tolist(), _LONG, _SHORT)).words.f1
        for benefit in benefits
    ]
    return np.convolve(np.pad(f1s, 2, mode="edge"), _SMOOTH, "valid")


def _features(page: LabelledPage, margins: Any, page_margin: float) -> tuple[float, float]:
    return math.log1p(_START.sure_prose(margins, _lengths(page))), page_margin


def _lengths(page: LabelledPage) -> Any:
    import numpy as np

    return np.frombuffer(bytes(line_shapes(page.lines).length), np.uint8)
