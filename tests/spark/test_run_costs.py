"""How many Spark jobs and Delta commits a small run takes: what a user with many micro-batches pays each time.

Spark and Delta decide this, and no unit test would notice when a stage asks the tables once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from spark_prox.config.run import load_config
from spark_prox.pipeline import Pipeline
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Costs(NamedTuple):
    """Of one run. A commit for each table that got rows, and one for `runs`; `programs` gets rows of two levels."""

    jobs: int
    commits: int


FIRST = Costs(jobs=54, commits=6)  # it was 126 and 14
AGAIN = Costs(jobs=39, commits=1)  # nothing new: it was 64 and 4


@pytest.fixture
def _as_in_production(spark: SparkSession) -> Iterator[None]:
    """Adaptive execution, which starts a job for each step of a plan."""
    before = spark.conf.get("spark.sql.adaptive.enabled")
    spark.conf.set("spark.sql.adaptive.enabled", "true")
    yield
    spark.conf.set("spark.sql.adaptive.enabled", before)


@pytest.mark.usefixtures("_as_in_production")
def test_a_small_run_takes_no_more_jobs_and_commits_than_these(
    spark: SparkSession, repository: Path, tmp_path: Path
) -> None:
    pages = repository / "examples" / "pages.warc.gz"
    config = load_config(
        None,
        ["model.engine=scripted"],
        {"warehouse": str(tmp_path / "w"), "input.path": str(pages), "input.format": "warc"},
    )
    scheduler = spark.sparkContext._jsc.sc().dagScheduler()

    def refine() -> Costs:
        jobs, commits = scheduler.numTotalJobs(), _commits(tmp_path / "w")
        pipe = Pipeline(config, FUNCTIONS, name="test")
        pipe.refine()
        return Costs(scheduler.numTotalJobs() - jobs, _commits(tmp_path / "w") - commits)

    first, again = refine(), refine()
    assert first.commits == FIRST.commits
    assert again.commits == AGAIN.commits
    assert first.jobs <= FIRST.jobs
    assert again.jobs <= AGAIN.jobs
    assert {"ingest: read and parse", "generate-doc", "generate-chunk", "execute"} <= _described(spark)
    assert Pipeline(config, FUNCTIONS, name="test").warehouse.read("refined").count() == 46


def _described(spark: SparkSession) -> set[str]:
    """What Spark's web interface would show of its jobs, without the run."""
    jobs = spark.sparkContext._jsc.sc().statusStore().jobsList(None)
    found = (jobs.apply(number).description() for number in range(jobs.size()))
    return {description.get().partition(", run ")[0] for description in found if description.isDefined()}


def _commits(warehouse: Path) -> int:
    return len(list(warehouse.glob("*/_delta_log/*.json")))
