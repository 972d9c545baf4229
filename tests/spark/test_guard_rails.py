"""A run that drifts is stopped early, says why, and goes on once it is allowed to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
import pytest
from delta.tables import DeltaTable

from spark_prox.errors import GuardError
from spark_prox.pipeline import Pipeline
from tests.spark.conftest import Finished
from tests.spark.runs import pipeline, refine, scripted, write_lines
from udfs.functions import FUNCTIONS
from udfs.generate import GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

DOCUMENTS = 31
"""Of the finished run that the tests go on from: thirty are refined, one is in quarantine."""
DROP = "doc.model.script_margin=-5"
WATCHED = ("guard.min_documents=8", "placement.batch_documents=16")


def outcomes(pipe: Pipeline) -> dict[str, int]:
    return {row["outcome"]: row["count"] for row in pipe.warehouse.read("refined").groupBy("outcome").count().collect()}


def last_run(pipe: Pipeline) -> dict[str, Row]:
    rows = pipe.warehouse.read("runs").where(f"run_id = '{pipe.log.run_id}'").collect()
    return {row["stage"]: row for row in rows}


def written(pipe: Pipeline) -> int:
    """Programs of this run."""
    return pipe.warehouse.read("programs").where(f"run_id = '{pipe.log.run_id}'").count()


def test_a_model_that_drops_everything_stops_after_the_first_batch_and_goes_on_when_allowed(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    pipe = pipeline(warehouse, None, *scripted(tiny_llama), *WATCHED, DROP)
    with pytest.raises(GuardError) as caught:
        pipe.advance()
    assert caught.value.code == "GUARD_KEEP_RATE"
    for part in ("0.0% kept", "the limit is 5.0%", pipe.log.run_id, "--set guard.min_keep_rate="):
        assert part in str(caught.value)
    assert 8 <= written(pipe) <= DOCUMENTS / 2
    assert outcomes(pipe) == {"EDITED": 30}
    row = last_run(pipe)["generate-doc"]
    assert (row["status"], row["error"]) == ("FAILED", "GUARD_KEEP_RATE")
    assert (row["guard"]["kept"], row["guard"]["judged"]) == (0, written(pipe))

    allowed = pipeline(warehouse, None, *scripted(tiny_llama), *WATCHED, DROP, "guard.min_keep_rate=0")
    allowed.advance()
    assert outcomes(allowed) == {"DROPPED": DOCUMENTS}
    assert last_run(allowed)["generate-doc"]["documents"] == DOCUMENTS - written(pipe)


@pytest.mark.slow
def test_a_policy_that_drops_everything_stops_before_it_replaces_a_row(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    """The stored programs say drop, but too weakly for the first policy."""
    warehouse, _ = finished.copy(tmp_path)
    weak = {"margin": "-1.0D", "program": "'drop_doc()'"}
    DeltaTable.forPath(spark, str(warehouse / "programs")).update("stage = 'doc'", weak)
    sets = (*scripted(tiny_llama), *WATCHED)
    first = pipeline(warehouse, None, *sets, "policy.overrides={min_drop_margin: 3}")
    first.execute()
    assert outcomes(first) == {"EDITED": 30}
    second = pipeline(warehouse, None, *sets, "policy.overrides={min_drop_margin: 0.5}")
    with pytest.raises(GuardError, match="GUARD_KEEP_RATE"):
        second.execute()
    assert outcomes(second) == {"EDITED": 30}
    last = pipeline(warehouse, None, *sets, "policy.overrides={min_drop_margin: 0.5}", "guard.enabled=false")
    last.execute()
    assert outcomes(last) == {"DROPPED": DOCUMENTS}


@pytest.mark.slow
def test_new_documents_that_lose_far_more_than_earlier_ones_stop_the_run(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    sets = (*scripted(tiny_llama), *WATCHED)
    text = "\n".join(f"Sentence {line} of a page is long enough to stay." for line in range(8))
    rows = [{"id": f"new{n}", "n": n, "text": "A menu without end " * 16 + f"\n{text}"} for n in range(60)]
    second = pipeline(warehouse, write_lines(tmp_path / "heavy.jsonl", rows), *sets, id_column="id")
    (before,) = second.warehouse.read("runs").where("stage = 'execute'").collect()
    assert 0 < before["guard"]["chars_after"] < before["guard"]["chars_before"]
    with pytest.raises(GuardError, match=r"GUARD_REMOVED_SHARE.*in earlier runs \d"):
        refine(second)
    assert outcomes(second)["EDITED"] < 30 + len(rows) / 2
    third = pipeline(warehouse, None, *sets, "guard.history=false")
    third.execute()
    assert outcomes(third) == {"EDITED": 30 + len(rows)}


@dataclasses.dataclass(frozen=True)
class Failing:
    """Writes programs, and says of each that the engine failed."""

    columns: ClassVar[str] = GeneratePrograms.columns
    generate: GeneratePrograms

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows in self.generate(batches):
            yield rows.assign(status="ENGINE_FAILED", program=None)


def test_an_engine_that_fails_stops_the_run_before_the_next_batch(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    broken = dataclasses.replace(FUNCTIONS, generate_programs=lambda **settings: Failing(GeneratePrograms(**settings)))
    warehouse, _ = finished.copy(tmp_path)
    sets = (*scripted(tiny_llama, "model.script=keep_chunk()"), *WATCHED)
    pipe = pipeline(warehouse, None, *sets, functions=broken)
    with pytest.raises(GuardError, match=r"GUARD_FAILURE_RATIO.*100\.0% failed.*20\.0%"):
        pipe.advance()
    assert 8 <= written(pipe) <= DOCUMENTS / 2
