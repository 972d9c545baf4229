"""Tasks of equal cost: rows go to tasks by the sum of what they cost, not by their number, and long ones come first.

Rows are hashed into groups, so that the driver sees 65,536 sums at most, whatever the number of rows. Groups go to
tasks as in Graham's rule: the most expensive first, each to the task that has least. Knows no stage.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

__all__ = ["assign_groups", "balanced", "largest_over_mean"]

_GROUP_BITS = 16


def assign_groups(costs: Mapping[int, int], tasks: int) -> tuple[dict[int, int], list[int]]:
    """The task of each group, and the cost of each task.

    Args:
        costs: by group.
    """
    loads = [(0, task) for task in range(tasks)]
    assigned = {}
    for group, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0])):
        load, task = loads[0]
        heapq.heapreplace(loads, (load + cost, task))
        assigned[group] = task
    return assigned, [load for load, _ in sorted(loads, key=lambda item: item[1])]


def largest_over_mean(loads: list[int]) -> float:
    """How much longer the last task runs than the mean: 1 is even."""
    return max(loads) * len(loads) / sum(loads) if sum(loads) else 1.0


def balanced(
    rows: DataFrame, key: str, cost: Column, tasks: int, known: tuple[DataFrame, Column] | None = None
) -> tuple[DataFrame, float]:
    """The rows in tasks of equal cost, the most expensive first, and the largest task over the mean.

    Computes the rows' costs in a job of its own.

    Args:
        key: a column of distinct values, which places a row.
        cost: a whole number of a row.
        known: rows of the same keys, and the same cost as a number of them, where that is cheaper to tell.
    """
    # The low bits of this hash are `documents.bucket`, which a portion has few values of.
    group = F.shiftrightunsigned(F.xxhash64(key), 64 - _GROUP_BITS).cast("int")
    costed = rows.withColumns({"group": group, "cost": cost})
    told = costed if known is None else known[0].withColumns({"group": group, "cost": known[1]})
    sums = told.groupBy("group").agg(F.sum("cost").alias("cost")).collect()
    assigned, loads = assign_groups({row["group"]: row["cost"] for row in sums}, tasks)
    places = rows.sparkSession.createDataFrame(list(assigned.items()), "group int, task int")
    placed = costed.join(F.broadcast(places), "group", "left")
    sorted_rows = placed.repartitionById(tasks, F.col("task")).sortWithinPartitions(F.desc("cost"))
    return sorted_rows.select(*rows.columns), largest_over_mean(loads)
