"""Descriptions of jobs, and how far they are: against stand-ins for Spark's context and its status."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spark_prox.spark.activity import Activity, activity_of, described


class Context:
    def __init__(self) -> None:
        self.said: list[str | None] = [None]

    def getLocalProperty(self, name: str) -> str | None:  # noqa: N802 - as Spark calls it
        assert name == "spark.job.description"
        return self.said[-1]

    def setLocalProperty(self, name: str, value: str | None) -> None:  # noqa: N802 - the same
        assert name == "spark.job.description"
        self.said.append(value)


def test_jobs_are_described_and_the_description_before_comes_back() -> None:
    context = Context()
    spark: Any = SimpleNamespace(sparkContext=context)
    with described(spark, "execute, run r"):
        with pytest.raises(ValueError, match="x"), described(spark, "execute, batch 1 of 2, run r"):
            raise ValueError("x")
        assert context.said[-1] == "execute, run r"
    assert context.said[-1] is None
    assert "execute, batch 1 of 2, run r" in context.said


def test_a_session_without_a_context_shows_nothing_and_goes_on() -> None:
    class Connect:
        @property
        def sparkContext(self) -> Context:  # noqa: N802 - the same
            raise NotImplementedError("[NOT_IMPLEMENTED] sparkContext() is not implemented.")

    connect: Any = Connect()
    with described(connect, "execute"):
        pass


class Seq(list[Any]):
    def size(self) -> int:
        return len(self)

    def apply(self, place: int) -> Any:
        return self[place]


def stage(number: int, what: str | None, tasks: int, done: int, read: int, written: int) -> Any:
    description = SimpleNamespace(isDefined=lambda: what is not None, get=lambda: what)
    values = {
        "stageId": number, "numTasks": tasks, "numCompleteTasks": done,
        "shuffleReadRecords": read, "shuffleWriteRecords": written,
    }  # fmt: skip
    return SimpleNamespace(
        description=lambda: description, **{name: lambda value=value: value for name, value in values.items()}
    )


def test_only_stages_of_the_description_count_and_rows_are_of_the_last_one() -> None:
    stages = Seq([stage(7, "ours", 2, 0, 1_250, 0), stage(3, "ours", 10, 4, 9_999, 5), stage(9, "other", 99, 9, 9, 0)])
    status = SimpleNamespace(activeStages=lambda: stages)
    java = SimpleNamespace(sc=lambda: SimpleNamespace(statusStore=lambda: status))
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(_jsc=java))
    assert activity_of(spark, "ours") == Activity(12, 4, 1_250)
    stages.append(stage(8, "ours", 5, 0, 400, 3))  # it passes its rows on: they are not done
    stages.append(stage(10, None, 5, 0, 400, 3))
    assert activity_of(spark, "ours") == Activity(17, 4, 0)
