"""A run that drifts is stopped early, says why, and goes on once it is allowed to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from spark_prox.config.run import load_config
from spark_prox.errors import GuardError
from spark_prox.functions import Functions
from spark_prox.pipeline import Pipeline
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS
from udfs.generate import GeneratePrograms

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

DOCUMENTS = 60
DROP = "doc.model.script_margin=-5"
WATCHED = ("guard.min_documents=8", "placement.batch_documents=30")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")


def page(n: int, head: str = "Menu") -> str:
    return f"{head}\n" + "\n".join(f"Sentence {line} of page {n} is long enough to stay." for line in range(8))


def pipeline(
    model: Path, folder: Path, sets: Sequence[str], *, pages: Sequence[str] = (), functions: Functions = FUNCTIONS
) -> Pipeline:
    file = folder / "pages.jsonl"
    if pages or not file.exists():
        texts = pages or [page(n) for n in range(DOCUMENTS)]
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    config = load_config(
        None,
        [f"model.path={model}", "model.engine=scripted", "model.script=remove_lines(start=0, end=0)", *WATCHED, *sets],
        {"warehouse": str(folder / "w"), "input.path": str(file), "input.format": "jsonl"},
    )
    return Pipeline(config, functions, name="test")


def refine(pipe: Pipeline) -> None:
    pipe.ingest()
    pipe.generate("doc")
    pipe.generate("chunk")
    pipe.execute()


def outcomes(pipe: Pipeline) -> dict[str, int]:
    return {row["outcome"]: row["count"] for row in pipe.warehouse.read("refined").groupBy("outcome").count().collect()}


def last_run(pipe: Pipeline) -> dict[str, Row]:
    rows = pipe.warehouse.read("runs").where(f"run_id = '{pipe.log.run_id}'").collect()
    return {row["stage"]: row for row in rows}


def test_a_model_that_drops_everything_stops_after_the_first_portion_and_goes_on_when_allowed(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    pipe = pipeline(model, tmp_path, [DROP])
    with pytest.raises(GuardError) as caught:
        refine(pipe)
    assert caught.value.code == "GUARD_KEEP_RATE"
    for part in ("0.0% kept", "the limit is 5.0%", pipe.log.run_id, "--set guard.min_keep_rate="):
        assert part in str(caught.value)
    programs = pipe.warehouse.read("programs")
    assert 8 <= programs.count() <= DOCUMENTS / 2
    assert not pipe.warehouse.exists("refined")
    row = last_run(pipe)["generate-doc"]
    assert (row["status"], row["error"]) == ("FAILED", "GUARD_KEEP_RATE")
    assert (row["guard"]["kept"], row["guard"]["judged"]) == (0, programs.count())

    allowed = pipeline(model, tmp_path, [DROP, "guard.min_keep_rate=0"])
    before = programs.count()
    refine(allowed)
    assert outcomes(allowed) == {"DROPPED": DOCUMENTS}
    assert last_run(allowed)["generate-doc"]["documents"] == DOCUMENTS - before


def test_a_policy_that_drops_everything_stops_before_it_replaces_a_row(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    """The stored programs say drop, but too weakly for the first policy."""
    weak = "doc.model.script_margin=-1"
    first = pipeline(model, tmp_path, [weak, "policy.overrides={min_drop_margin: 3}"])
    refine(first)
    assert outcomes(first) == {"EDITED": DOCUMENTS}
    second = pipeline(model, tmp_path, [weak, "policy.overrides={min_drop_margin: 0.5}"])
    with pytest.raises(GuardError, match="GUARD_KEEP_RATE"):
        second.execute()
    assert outcomes(second) == {"EDITED": DOCUMENTS}
    last = pipeline(model, tmp_path, [weak, "policy.overrides={min_drop_margin: 0.5}", "guard.enabled=false"])
    last.execute()
    assert outcomes(last) == {"DROPPED": DOCUMENTS}


def test_new_documents_that_lose_far_more_than_earlier_ones_stop_the_run(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    first = pipeline(model, tmp_path, [])
    refine(first)
    assert outcomes(first) == {"EDITED": DOCUMENTS}
    assert 0 < last_run(first)["execute"]["guard"]["chars_after"] < last_run(first)["execute"]["guard"]["chars_before"]
    heavy = [page(n, head="A menu without end " * 16) for n in range(100, 100 + DOCUMENTS)]
    second = pipeline(model, tmp_path, [], pages=heavy)
    with pytest.raises(GuardError, match=r"GUARD_REMOVED_SHARE.*in earlier runs \d"):
        refine(second)
    assert outcomes(second)["EDITED"] < DOCUMENTS + DOCUMENTS / 2
    third = pipeline(model, tmp_path, ["guard.history=false"])
    third.execute()
    assert outcomes(third) == {"EDITED": 2 * DOCUMENTS}


@dataclasses.dataclass(frozen=True)
class Failing:
    """Writes programs, and says of each that the engine failed."""

    generate: GeneratePrograms

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows in self.generate(batches):
            yield rows.assign(status="ENGINE_FAILED", program=None)


def test_an_engine_that_fails_stops_the_run_before_the_next_portion(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    broken = dataclasses.replace(FUNCTIONS, generate_programs=lambda **settings: Failing(GeneratePrograms(**settings)))
    pipe = pipeline(model, tmp_path, [], functions=broken)
    with pytest.raises(GuardError, match=r"GUARD_FAILURE_RATIO.*100\.0% failed.*20\.0%"):
        refine(pipe)
    assert 8 <= pipe.warehouse.read("programs").count() <= DOCUMENTS / 2


def test_a_small_run_is_never_stopped(spark: SparkSession, model: Path, tmp_path: Path) -> None:
    pipe = pipeline(model, tmp_path, [DROP, "guard.min_documents=61"])
    refine(pipe)
    assert outcomes(pipe) == {"DROPPED": DOCUMENTS}
