"""Arithmetic of the figures, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.evaluation.metrics import (
    Counts,
    auc,
    bootstrap_interval,
    mean,
    paired_difference,
    score_documents,
    score_page,
    sum_counts,
)


def test_word_f1_counts_words_as_a_bag() -> None:
    score = score_page(["one two three", "Menu two", "four"], [True, False, True], [True, True, False])
    assert score.words == Counts(hits=3, predicted=5, gold=4)
    assert score.words.f1 == pytest.approx(6 / 9)
    assert (score.words.recall, score.words.precision) == (3 / 4, 3 / 5)
    assert score.share_removed == pytest.approx(1 / 6)


def test_a_word_kept_from_the_wrong_line_counts_once() -> None:
    score = score_page(["a b", "a b"], [True, False], [False, True])
    assert score.words.f1 == 1.0
    assert score.removed.f1 == 0.0


def test_chunk_f1_is_that_of_removed_lines() -> None:
    score = score_page(["a", "b", "c", "d"], [True, False, False, True], [True, False, True, False])
    assert score.removed == Counts(hits=1, predicted=2, gold=2)
    assert score.removed.f1 == 0.5


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    assert Counts(0, 0, 0).f1 == 1.0
    assert score_page([""], [True], [True]).words.f1 == 1.0
    assert Counts(0, 3, 0).f1 == 0.0


def test_pooled_counts_are_sums() -> None:
    assert sum_counts([Counts(1, 2, 3), Counts(4, 5, 6)]) == Counts(5, 7, 9)


def test_document_f1_takes_keep_as_positive() -> None:
    assert score_documents([True, True, False], [True, False, True]).f1 == 0.5


@pytest.mark.parametrize(
    ("gold", "scores", "area"),
    [
        ([True, False], [1.0, 0.0], 1.0),
        ([True, False], [0.0, 1.0], 0.0),
        ([True, False, True, False], [0.5, 0.5, 0.5, 0.5], 0.5),
        ([True, True, False, False], [4.0, 2.0, 3.0, 1.0], 0.75),
        ([True, True, False, False], [math.inf, 2.0, 3.0, -math.inf], 0.75),
    ],
)
def test_auc_of_known_rankings(gold: list[bool], scores: list[float], area: float) -> None:
    assert auc(gold, scores) == pytest.approx(area)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[bool, int]]) -> None:
    good = [score for label, score in pairs if label]
    bad = [score for label, score in pairs if not label]
    area = auc([label for label, _ in pairs], [float(score) for _, score in pairs])
    if not good or not bad:
        assert math.isnan(area)
    else:
        wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
        assert area == pytest.approx(wins / len(good) / len(bad))


def test_a_bootstrap_interval_holds_the_mean_and_narrows_with_more_pages() -> None:
    values = [0.0, 1.0] * 20
    low, high = bootstrap_interval(len(values), lambda drawn: mean([values[i] for i in drawn]))
    assert low < 0.5 < high
    many = values * 10
    narrow = bootstrap_interval(len(many), lambda drawn: mean([many[i] for i in drawn]))
    assert narrow[1] - narrow[0] < (high - low) / 2


def test_an_interval_leaves_out_the_rounds_that_have_no_value() -> None:
    gold, scores = [True, False, False], [3.0, 1.0, 2.0]
    interval = bootstrap_interval(3, lambda drawn: auc([gold[i] for i in drawn], [scores[i] for i in drawn]))
    assert interval == (1.0, 1.0)
    assert all(map(math.isnan, bootstrap_interval(3, lambda drawn: math.nan)))


def test_an_interval_of_one_page_is_its_value_and_of_none_is_nan() -> None:
    assert bootstrap_interval(1, lambda drawn: 0.25 + drawn[0]) == (0.25, 0.25)
    assert all(map(math.isnan, bootstrap_interval(0, lambda drawn: 0.25)))


def test_a_paired_difference_sees_a_small_constant_gain() -> None:
    theirs = [0.1 * (n % 10) for n in range(60)]
    gap, low, high = paired_difference([value + 0.01 for value in theirs], theirs)
    assert gap == pytest.approx(0.01)
    assert low > 0
    assert high == pytest.approx(0.01)
