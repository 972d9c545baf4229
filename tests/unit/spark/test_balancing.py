from __future__ import annotations

import random

import pytest

from spark_prox.spark.balancing import assign_groups, largest_over_mean


@pytest.fixture(scope="module")
def costs() -> dict[int, int]:
    """A corpus of 100,000 documents of log-normal length, in groups."""
    rng = random.Random(1)
    found: dict[int, int] = {}
    for _ in range(100_000):
        group = rng.randrange(1 << 16)
        found[group] = found.get(group, 0) + int(rng.lognormvariate(8, 1.0)) + 400
    return found


@pytest.mark.parametrize("tasks", [8, 64, 512])
def test_a_log_normal_corpus_gives_tasks_of_equal_cost(costs: dict[int, int], tasks: int) -> None:
    assigned, loads = assign_groups(costs, tasks)
    assert {*assigned} == {*costs}
    assert sum(loads) == sum(costs.values())
    by_task = [0] * tasks
    for group, task in assigned.items():
        by_task[task] += costs[group]
    assert by_task == loads
    assert largest_over_mean(loads) <= 1.1


def test_one_document_of_more_than_a_task_has_a_task_of_its_own() -> None:
    assigned, loads = assign_groups({1: 100, 2: 10, 3: 10, 4: 10}, 2)
    assert loads == [100, 30]
    assert [group for group, task in assigned.items() if task == assigned[1]] == [1]
    assert largest_over_mean(loads) == pytest.approx(100 / 65)
    assert largest_over_mean([0, 0]) == 1.0
