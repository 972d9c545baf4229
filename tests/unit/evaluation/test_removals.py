from __future__ import annotations

import pytest

from spark_prox.annotation.labels import LabelledPage
from spark_prox.evaluation.removals import removal_figures, removal_table


def page(name: str, keep: str) -> LabelledPage:
    lines = tuple("a b c" if value == "k" else "x" for value in keep)
    return LabelledPage(page_id=name, source="s", lines=lines, keep=tuple(float(value == "k") for value in keep))


def test_precision_and_recall_are_of_removed_lines_and_words() -> None:
    pages = [page("one", "rkkr"), page("two", "kkr")]
    removed = {"one": [True, True, False, False], "two": [False, False, True], "other": [True]}
    figures = removal_figures(pages, removed)
    assert figures is not None
    assert (figures.pages, figures.lines, figures.removed, figures.to_remove) == (2, 7, 3, 3)
    assert figures.precision.value == pytest.approx(2 / 3)
    assert figures.recall.value == pytest.approx(2 / 3)
    assert figures.words_precision.value == pytest.approx(2 / 5)
    assert (figures.precision.low, figures.precision.high) == (0.5, 1.0)  # either page alone
    assert "precision of removals  66.7% (50.0% to 100.0%)" in removal_table(figures)


def test_intervals_become_narrower_with_more_pages() -> None:
    def width(count: int) -> float:
        pages = [page(f"p{n}", "rk") for n in range(count)]
        removed = {f"p{n}": [True, n % 4 == 0] for n in range(count)}
        figures = removal_figures(pages, removed)
        assert figures is not None
        assert figures.precision.low < 0.8 < figures.precision.high
        return figures.precision.high - figures.precision.low

    assert width(200) < width(12) / 2


def test_pages_that_changed_since_are_left_out() -> None:
    assert removal_figures([page("one", "rk")], {"one": [True]}) is None
    assert removal_figures([page("one", "rk")], {}) is None
