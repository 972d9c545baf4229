"""Jobs that say which stage and batch they belong to, and how far such a job is.

Asks the status that Spark's web interface shows, also where that is switched off. Adds nothing to a plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

__all__ = ["Activity", "activity_of", "described"]

_DESCRIPTION = "spark.job.description"


class Activity(NamedTuple):
    """The Spark stages that run under one description.

    Attributes:
        tasks, tasks_done: of all of them.
        rows: that the last one has read from a shuffle and passes on to no other; 0 where it reads files.
    """

    tasks: int
    tasks_done: int
    rows: int


@contextmanager
def described(spark: SparkSession, what: str) -> Iterator[None]:
    """Jobs that are started here have this description in Spark's web interface, and those after it the one before.

    A session of Spark Connect has no context and shows no descriptions; nothing happens there.
    """
    try:
        context: Any = spark.sparkContext
    except Exception:  # noqa: BLE001 - each client says in its own way that it has none
        yield
        return
    before = context.getLocalProperty(_DESCRIPTION)
    context.setLocalProperty(_DESCRIPTION, what)
    try:
        yield
    finally:
        context.setLocalProperty(_DESCRIPTION, before)


def activity_of(spark: SparkSession, what: str) -> Activity:
    """How far the jobs are that run under a description. Executors report on unfinished tasks every few seconds."""
    java: Any = spark.sparkContext._jsc
    running = java.sc().statusStore().activeStages()
    tasks = done = rows = 0
    last = -1
    for number in range(running.size()):
        stage = running.apply(number)
        name = stage.description()
        if not name.isDefined() or name.get() != what:
            continue
        tasks += stage.numTasks()
        done += stage.numCompleteTasks()
        if stage.stageId() > last:
            last = stage.stageId()
            rows = 0 if stage.shuffleWriteRecords() else stage.shuffleReadRecords()
    return Activity(tasks, done, rows)
