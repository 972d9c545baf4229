"""Retry: only programs that failed are asked for again, and what comes of it reaches `refined`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_prox.errors import ConfigError
from spark_prox.stages.execute import Execute
from spark_prox.stages.generate import Generate
from spark_prox.stages.retry import parse_codes
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished
from tests.spark.runs import pipeline, run_job, scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OTHER = "policy.overrides={max_errors: 5}"
"""What the finished run was not executed with, so that a run executes all documents."""
FILTER = "filters.exact_duplicates.enabled=true"
"""The verdicts of a filter are among what a retry finds; no two of these documents are the same."""


@pytest.fixture(scope="module")
def failed(spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of three documents of two chunks are failures, as an engine would leave them, and were executed."""
    warehouse, _ = finished.copy(tmp_path_factory.mktemp("failed"))
    fail(spark, warehouse, "doc_id = 'd0' AND stage = 'chunk'", "ENGINE_FAILED", "POISON_REQUEST: request 1")
    fail(spark, warehouse, "doc_id = 'd1' AND stage = 'chunk' AND chunk_index = 1", "ENGINE_FAILED", "TIMEOUT: 30 s")
    fail(spark, warehouse, "doc_id = 'd2' AND stage = 'doc'", "ENGINE_FAILED", "TIMEOUT: 30 s")
    assert job(tiny_llama, warehouse, name="execute") == 0
    return warehouse


@pytest.fixture
def warehouse(failed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(failed, tmp_path / "w", ignore=shutil.ignore_patterns("_lease"))
    return tmp_path / "w"


def job(model: Path, warehouse: Path, *arguments: str, name: str = "refine") -> int:
    settings = (word for setting in (*scripted(model), OTHER, FILTER) for word in ("--set", setting))
    return run_job(name, *settings, "--warehouse", str(warehouse), *arguments)


def fail(spark: SparkSession, warehouse: Path, which: str, status: str, detail: str) -> None:
    changes = {"status": F.lit(status), "detail": F.lit(detail), "program": F.lit(None).cast("string")}
    DeltaTable.forPath(spark, str(warehouse / "programs")).update(which, changes)


def attempts(spark: SparkSession, warehouse: Path) -> dict[tuple[str, str, int], int]:
    """Programs that were asked for more than once."""
    rows = Warehouse(spark, str(warehouse)).read("programs").where("attempts > 1").collect()
    return {(row["doc_id"], row["stage"], row["chunk_index"]): row["attempts"] for row in rows}


def outcomes(spark: SparkSession, warehouse: Path) -> dict[str, str]:
    """What became of the four documents of two chunks; looks first whether all documents are in one table only."""
    tables = Warehouse(spark, str(warehouse))
    refined = {row["doc_id"]: f"{row['outcome']} {row['reason']}" for row in tables.read("refined").collect()}
    rejects = tables.read("rejects").where("stage <> 'ingest'").collect()
    held = {row["doc_id"]: f"{row['code']} {row['attempts']}" for row in rejects}
    assert not set(refined) & set(held)
    found = {**refined, **held}
    assert len(found) == 31
    assert {found[f"d{n}"] for n in range(4, 30)} == {"EDITED EDITS"}
    return {name: found[name] for name in ("d0", "d1", "d2", "d3")}


def test_failed_programs_are_asked_again_and_their_documents_executed(
    spark: SparkSession, tiny_llama: Path, warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = Warehouse(spark, str(warehouse)).read("programs").count()
    done = {"d2": "EDITED EDITS", "d3": "EDITED EDITS"}
    assert outcomes(spark, warehouse) == {**done, "d0": "ENGINE_FAILED 1", "d1": "EDITED PARTLY_FAILED"}
    capsys.readouterr()
    assert job(tiny_llama, warehouse, "--retry", "FAILED", "--dry-run") == 0
    planned = capsys.readouterr().out
    assert [line.split()[:2] for line in planned.splitlines()[2:]] == [["retry-doc", "1"], ["retry-chunk", "2"]]
    assert job(tiny_llama, warehouse, "--retry", "FAILED") == 0
    assert "3 documents were asked about again." in capsys.readouterr().out
    asked = attempts(spark, warehouse)
    assert {key[:2] for key in asked} == {("d0", "chunk"), ("d1", "chunk"), ("d2", "doc")}
    assert [key for key in asked if key[0] == "d1"] == [("d1", "chunk", 1)]
    assert set(asked.values()) == {2}
    assert outcomes(spark, warehouse) == {**done, "d0": "EDITED EDITS", "d1": "EDITED EDITS"}
    assert Warehouse(spark, str(warehouse)).read("programs").count() == programs


@pytest.mark.slow
def test_a_code_names_what_is_asked_again_and_a_killed_retry_reaches_refined_later(
    spark: SparkSession, tiny_llama: Path, warehouse: Path
) -> None:
    assert job(tiny_llama, warehouse, "--retry", "POISON_REQUEST,NOTHING", name="generate") == 0
    assert {key[:2] for key in attempts(spark, warehouse)} == {("d0", "chunk")}
    assert outcomes(spark, warehouse)["d0"] == "ENGINE_FAILED 1"  # not executed yet
    assert job(tiny_llama, warehouse, name="execute") == 0
    assert outcomes(spark, warehouse)["d0"] == "EDITED EDITS"
    last = Warehouse(spark, str(warehouse)).read("runs").orderBy(F.desc("started_at")).first()
    assert last is not None
    assert (last["stage"], last["documents"]) == ("execute", 1)


@pytest.mark.slow
def test_a_document_that_could_not_be_prompted_gets_all_its_chunks(
    spark: SparkSession, tiny_llama: Path, warehouse: Path
) -> None:
    programs = DeltaTable.forPath(spark, str(warehouse / "programs"))
    chunks = programs.toDF().where("doc_id = 'd3' AND stage = 'chunk'").count()
    assert chunks > 1
    programs.delete("doc_id = 'd3' AND stage = 'chunk' AND chunk_index > 0")
    fail(spark, warehouse, "doc_id = 'd3' AND stage = 'chunk'", "PROMPT_FAILED", "ValueError")
    programs.update("doc_id = 'd3' AND stage = 'chunk'", {"chunk_count": F.lit(1), "attempts": F.lit(None).cast("int")})
    assert job(tiny_llama, warehouse, "--retry", "PROMPT_FAILED") == 0
    assert attempts(spark, warehouse) == {("d3", "chunk", index): 2 for index in range(chunks)}
    assert outcomes(spark, warehouse)["d3"] == "EDITED EDITS"


@pytest.mark.slow
def test_a_chunk_that_could_not_be_prompted_is_asked_again_alone(
    spark: SparkSession, tiny_llama: Path, warehouse: Path
) -> None:
    fail(spark, warehouse, "doc_id = 'd3' AND stage = 'chunk' AND chunk_index = 1", "PROMPT_FAILED", "ValueError")
    assert job(tiny_llama, warehouse, "--retry", "PROMPT_FAILED") == 0
    assert attempts(spark, warehouse) == {("d3", "chunk", 1): 2}
    assert outcomes(spark, warehouse)["d3"] == "EDITED EDITS"


def test_a_retry_of_what_is_no_failure_is_refused(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse_codes("failed, ENGINE_FAILED") == ("FAILED", "ENGINE_FAILED")
    with pytest.raises(ConfigError, match="RETRY_BAD_CODE"):
        parse_codes("OK")
    assert job(tiny_llama, tmp_path, "--retry", "d'1") == 2
    assert "[SPARK_PROX.RETRY_BAD_CODE]" in capsys.readouterr().err


@pytest.mark.slow
def test_another_attempt_that_fails_counts_as_one(spark: SparkSession, tiny_llama: Path, warehouse: Path) -> None:
    """A scripted engine never fails, so the answers of the second attempt are made failures before they are merged."""
    pipe = pipeline(warehouse, None, *scripted(tiny_llama), OTHER)
    assert pipe.retry(("POISON_REQUEST",), [Generate("chunk")]) == 1
    fail(spark, warehouse, "doc_id = 'd0' AND stage = 'chunk'", "ENGINE_FAILED", "POISON_REQUEST: request 1")
    pipe.retry((), [Execute()])
    assert outcomes(spark, warehouse)["d0"] == "ENGINE_FAILED 2"
    assert pipe.retry(("FAILED",), [Generate("chunk")]) == 2
    assert set(attempts(spark, warehouse).values()) == {2, 3}
