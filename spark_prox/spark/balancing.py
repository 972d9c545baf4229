"""Tasks of planned cost: rows go to tasks by the sum of what they cost, not by their number, and long ones come first.

Rows are hashed into groups, so that the driver sees 65,536 sums at most, whatever the number of rows. Groups go to
tasks as in Graham's rule: the most expensive first, each to the task that has least of its share.

Spark starts tasks in their order. The first task of a slot is planned to be long and the last one short, so that slots
that are slower, or that one long document holds up, are evened out at the end. Four equal tasks a slot leave 3% to 17%
of the slots' time idle (log-normal documents, sigma 1.5), five of these 1% to 2%. A row that is longer than a slot has
time for can be dealt out in parts. Knows no stage.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.spark.local_rows import local_rows

__all__ = ["LongRow", "assign_groups", "balanced", "cut_rows", "largest_over_share", "task_shares"]

_GROUP_BITS = 16
_FIRST_OVER_LAST = 16.0
_MOST_PARTS = 64


def task_shares(tasks: int, slots: int) -> list[float]:
    """The share of each task in the cost of all: equal for tasks that start together, less for each later wave.

    Args:
        slots: tasks that run at once.
    """
    waves = -(-tasks // slots)
    weights = [_FIRST_OVER_LAST ** (-(task // slots) / max(1, waves - 1)) for task in range(tasks)]
    return [weight / sum(weights) for weight in weights]


def assign_groups(costs: Mapping[int, int], shares: Sequence[float]) -> tuple[dict[int, int], list[int]]:
    """The task of each group, and the cost of each task.

    Args:
        costs: by group.
        shares: of each task, see `task_shares`.
    """
    loads = [0] * len(shares)
    least = [(0.0, task) for task in range(len(shares))]
    assigned = {}
    for group, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0])):
        _, task = least[0]
        loads[task] += cost
        heapq.heapreplace(least, (loads[task] / shares[task], task))
        assigned[group] = task
    return assigned, loads


def largest_over_share(loads: Sequence[int], shares: Sequence[float]) -> float:
    """The largest task over the share of a first one: 1 is as planned, more has a document that is longer than that."""
    total, first = sum(loads), max(shares)
    return max(loads) / (total * first) if total else 1.0


def balanced(
    rows: DataFrame,
    key: str,
    cost: Column,
    tasks: int,
    slots: int,
    known: tuple[DataFrame, Column] | None = None,
    cuts: bool = False,
) -> tuple[DataFrame, float]:
    """The rows in tasks of planned cost, the most expensive first, and the largest task over its share.

    Computes the rows' costs in a job of its own.

    Args:
        key: a column of distinct values, which places a row.
        cost: a whole number of a row.
        slots: tasks that run at once.
        known: rows of the same keys, and the same cost as a number of them, where that is cheaper to tell.
        cuts: a row may come several times, in the columns (part, parts): 0 of 1 for most, 0 of 3, 1 of 3, 2 of 3 for
            one that costs more than half of the first task of a slot.
    """
    # The low bits of this hash are `documents.bucket`, which a portion has few values of.
    group = F.shiftrightunsigned(F.xxhash64(key), 64 - _GROUP_BITS).cast("int")
    costed = rows.withColumns({"group": group, "cost": cost})
    told = costed if known is None else known[0].withColumns({"group": group, "cost": known[1]})
    most_of = (F.max("cost").alias("largest"), F.max_by(key, "cost").alias("key"))
    sums = told.groupBy("group").agg(F.sum("cost").alias("cost"), *(most_of if cuts else ())).collect()
    shares = task_shares(tasks, slots)
    costs: dict[int, int] = {row["group"]: row["cost"] for row in sums}
    columns = rows.columns
    if cuts:
        most = max(1, int(sum(costs.values()) * max(shares) / 2))
        # Of two long rows in one of so many groups, one is cut.
        long = [LongRow(row["key"], row["group"], row["largest"]) for row in sums if row["largest"] > most]
        parts = cut_rows(long, costs, most)
        costed, columns = _in_parts(costed, key, parts), [*columns, "part", "parts"]
    assigned, loads = assign_groups(costs, shares)
    places = local_rows(rows.sparkSession, list(assigned.items()), "group int, task int")
    placed = costed.join(F.broadcast(places), "group", "left")
    sorted_rows = placed.repartitionById(tasks, F.col("task")).sortWithinPartitions(F.desc("cost"))
    return sorted_rows.select(*columns), largest_over_share(loads, shares)


class LongRow(NamedTuple):
    """A row that is dealt out in parts."""

    key: str
    group: int
    cost: int


def cut_rows(long: Sequence[LongRow], costs: dict[int, int], most: int) -> list[tuple[str, int, int, int]]:
    """(key, part, parts, group) of each part of the long rows; moves their costs to groups of their own, below zero.

    Args:
        costs: by group; changed.
        most: that a part should cost.
    """
    found: list[tuple[str, int, int, int]] = []
    for key, group, cost in long:
        parts = min(_MOST_PARTS, -(-cost // most))
        costs[group] -= cost
        for part in range(parts):
            own = -1 - len(found)
            costs[own] = -(-cost // parts)
            found.append((key, part, parts, own))
    return found


def _in_parts(costed: DataFrame, key: str, parts: Sequence[tuple[str, int, int, int]]) -> DataFrame:
    """The rows with (part, parts), those that are cut as often as they have parts."""
    if not parts:
        return costed.withColumns({"part": F.lit(0), "parts": F.lit(1)})
    schema = f"{key} string, part int, parts int, own int"
    cut = local_rows(costed.sparkSession, parts, schema)
    joined = costed.join(F.broadcast(cut), key, "left")
    return joined.withColumns(
        {
            "part": F.coalesce("part", F.lit(0)),
            "parts": F.coalesce("parts", F.lit(1)),
            "group": F.coalesce("own", "group"),
            "cost": (F.col("cost") / F.coalesce("parts", F.lit(1))).cast("long"),
        }
    )
