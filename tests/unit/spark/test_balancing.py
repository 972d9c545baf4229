from __future__ import annotations

import heapq
import random

import pytest

from spark_prox.spark.balancing import LongRow, assign_groups, cut_rows, largest_over_share, task_shares


@pytest.fixture(scope="module")
def costs() -> dict[int, int]:
    """A corpus of 100,000 documents of log-normal length, in groups."""
    rng = random.Random(1)
    found: dict[int, int] = {}
    for _ in range(100_000):
        group = rng.randrange(1 << 16)
        found[group] = found.get(group, 0) + int(rng.lognormvariate(8, 1.0)) + 400
    return found


def seconds(loads: list[int], slots: int) -> int:
    """How long slots take that start tasks in their order, each as soon as it is free."""
    ends = [0] * slots
    for load in loads:
        heapq.heapreplace(ends, ends[0] + load)
    return max(ends)


@pytest.mark.parametrize("tasks", [8, 64, 512])
def test_a_log_normal_corpus_gives_tasks_of_equal_cost(costs: dict[int, int], tasks: int) -> None:
    shares = task_shares(tasks, tasks)
    assigned, loads = assign_groups(costs, shares)
    assert {*assigned} == {*costs}
    assert sum(loads) == sum(costs.values())
    by_task = [0] * tasks
    for group, task in assigned.items():
        by_task[task] += costs[group]
    assert by_task == loads
    assert largest_over_share(loads, shares) <= 1.1


def test_later_tasks_of_a_slot_are_shorter() -> None:
    assert task_shares(4, 4) == [0.25] * 4
    assert task_shares(4, 2) == pytest.approx([16 / 34, 16 / 34, 1 / 34, 1 / 34])
    assert task_shares(3, 1) == pytest.approx([16 / 21, 4 / 21, 1 / 21])
    assert sum(task_shares(7, 3)) == pytest.approx(1)


@pytest.mark.parametrize("giant", [0, 0.5, 0.8])
def test_slots_end_together_also_beside_one_giant_document(costs: dict[int, int], giant: float) -> None:
    total, slots = sum(costs.values()), 8
    corpus = {**costs, -1: int(giant * total / slots)}
    ideal = sum(corpus.values()) / slots
    _, planned = assign_groups(corpus, task_shares(5 * slots, slots))
    _, equal = assign_groups(corpus, [1 / 32] * 32)
    assert ideal / seconds(planned, slots) > 0.97
    assert giant == 0 or ideal / seconds(equal, slots) < 0.9


def test_one_document_of_more_than_a_task_has_a_task_of_its_own() -> None:
    shares = task_shares(2, 2)
    assigned, loads = assign_groups({1: 100, 2: 10, 3: 10, 4: 10}, shares)
    assert loads == [100, 30]
    assert [group for group, task in assigned.items() if task == assigned[1]] == [1]
    assert largest_over_share(loads, shares) == pytest.approx(100 / 65)
    assert largest_over_share([0, 0], shares) == 1.0


def test_a_document_of_more_than_a_slot_has_time_for_is_cut(costs: dict[int, int]) -> None:
    total, slots = sum(costs.values()), 8
    giant = 2 * total // slots
    corpus = {**costs, 7: costs[7] + giant}
    shares = task_shares(5 * slots, slots)
    ideal = sum(corpus.values()) / slots
    _, whole = assign_groups(corpus, shares)
    parts = cut_rows([LongRow("giant", 7, giant)], corpus, int(sum(corpus.values()) * max(shares) / 2))
    assert [part[:3] for part in parts] == [("giant", number, len(parts)) for number in range(len(parts))]
    assert corpus[7] == costs[7]
    assert sum(corpus.values()) == pytest.approx(ideal * slots, rel=1e-6)
    _, cut = assign_groups(corpus, shares)
    assert ideal / seconds(whole, slots) < 0.65
    assert ideal / seconds(cut, slots) > 0.97
