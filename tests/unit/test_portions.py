from __future__ import annotations

import itertools

import pytest

from spark_prox.stages.portions import portions
from spark_prox.warehouse.schemas import BUCKETS


@pytest.mark.parametrize(
    ("documents", "most", "first"),
    [(1, 1, 0), (30, 7, 1000), (10**5, 10**4, 1000), (10**9, 500_000, 1000), (2_501, 50_000, 1000), (10, 1, 0)],
)
def test_portions_are_all_buckets_once(documents: int, most: int, first: int) -> None:
    ranges = portions(documents, most, first)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == BUCKETS
    assert all(left[1] == right[0] for left, right in itertools.pairwise(ranges))
    assert all(start < stop for start, stop in ranges)


def test_nothing_to_do_is_no_portion() -> None:
    assert portions(0, 10, 5) == []


def test_portions_are_no_larger_than_wanted() -> None:
    assert len(portions(30, 7, 1000)) == 5
    assert len(portions(30, 30, 1000)) == 1


def test_the_first_portion_is_evidence_and_no_more() -> None:
    start, stop = portions(1_000_000, 50_000, 1_000)[0]
    assert 1_000 <= 1_000_000 * (stop - start) / BUCKETS <= 1_300


def test_a_small_run_has_no_portion_just_for_evidence() -> None:
    assert portions(2_000, 50_000, 1_000) == [(0, BUCKETS)]
