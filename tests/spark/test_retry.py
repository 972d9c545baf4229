"""Retry: only programs that failed are asked for again, and what comes of it reaches `refined`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError
from spark_prox.jobkit import run
from spark_prox.pipeline import Pipeline
from spark_prox.stages.execute import Execute
from spark_prox.stages.generate import Generate
from spark_prox.stages.retry import parse_codes
from spark_prox.warehouse.tables import Warehouse
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LINES = [f"line {n} " + " ".join(f"word{n}-{i}" for i in range(20)) for n in range(12)]
ARGUMENTS = (
    *("--set", "model.engine=scripted", "--set", "model.script=remove_lines(start=0, end=0)"),
    *("--set", "chunk.max_chunk_tokens=900"),  # each document is two chunks or more
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny"))


def job(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_job", repository / "jobs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refine(repository: Path, model: str, warehouse: Path, *arguments: str, name: str = "refine") -> int:
    module = job(repository, name)
    words = [*ARGUMENTS, "--set", f"model.path={model}", "--warehouse", str(warehouse), *arguments]
    return run(module.PARSER, getattr(module, name), words)


@pytest.fixture
def warehouse(spark: SparkSession, repository: Path, model: str, tmp_path: Path) -> Path:
    """Four documents, refined; then programs of three of them are made failures, as an engine would leave them."""
    source = tmp_path / "pages.jsonl"
    source.write_text("\n".join(json.dumps({"id": f"d{n}", "text": "\n".join(LINES)}) for n in range(4)))
    folder = tmp_path / "w"
    given = ("--input", str(source), "--input-format", "jsonl", "--id-column", "id")
    assert refine(repository, model, folder, *given) == 0
    fail(spark, folder, "doc_id = 'd0' AND stage = 'chunk'", "ENGINE_FAILED", "POISON_REQUEST: request 1")
    fail(spark, folder, "doc_id = 'd1' AND stage = 'chunk' AND chunk_index = 1", "ENGINE_FAILED", "TIMEOUT: 30 s")
    fail(spark, folder, "doc_id = 'd2' AND stage = 'doc'", "ENGINE_FAILED", "TIMEOUT: 30 s")
    assert refine(repository, model, folder, "--set", "policy.name=compat", name="execute") == 0
    assert refine(repository, model, folder, name="execute") == 0  # another policy in between, so that all were done
    return folder


def fail(spark: SparkSession, warehouse: Path, which: str, status: str, detail: str) -> None:
    changes = {"status": F.lit(status), "detail": F.lit(detail), "program": F.lit(None).cast("string")}
    DeltaTable.forPath(spark, str(warehouse / "programs")).update(which, changes)


def attempts(spark: SparkSession, warehouse: Path) -> dict[tuple[str, str, int], int]:
    """Programs that were asked for more than once."""
    rows = Warehouse(spark, str(warehouse)).read("programs").where("attempts > 1").collect()
    return {(row["doc_id"], row["stage"], row["chunk_index"]): row["attempts"] for row in rows}


def outcomes(spark: SparkSession, warehouse: Path) -> dict[str, str]:
    tables = Warehouse(spark, str(warehouse))
    refined = {row["doc_id"]: f"{row['outcome']} {row['reason']}" for row in tables.read("refined").collect()}
    held = {row["doc_id"]: f"{row['code']} {row['attempts']}" for row in tables.read("rejects").collect()}
    assert not set(refined) & set(held)
    return {**refined, **held}


def test_failed_programs_are_asked_again_and_their_documents_executed(
    spark: SparkSession, repository: Path, model: str, warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = Warehouse(spark, str(warehouse)).read("programs").count()
    done = {"d2": "EDITED EDITS", "d3": "EDITED EDITS"}
    assert outcomes(spark, warehouse) == {**done, "d0": "ENGINE_FAILED 1", "d1": "EDITED PARTLY_FAILED"}
    capsys.readouterr()
    assert refine(repository, model, warehouse, "--retry", "FAILED", "--dry-run") == 0
    planned = capsys.readouterr().out
    assert [line.split()[:2] for line in planned.splitlines()[2:]] == [["retry-doc", "1"], ["retry-chunk", "2"]]
    assert refine(repository, model, warehouse, "--retry", "FAILED") == 0
    assert "3 documents were asked about again." in capsys.readouterr().out
    asked = attempts(spark, warehouse)
    assert {key[:2] for key in asked} == {("d0", "chunk"), ("d1", "chunk"), ("d2", "doc")}
    assert [key for key in asked if key[0] == "d1"] == [("d1", "chunk", 1)]
    assert set(asked.values()) == {2}
    assert outcomes(spark, warehouse) == {**done, "d0": "EDITED EDITS", "d1": "EDITED EDITS"}
    assert Warehouse(spark, str(warehouse)).read("programs").count() == programs
    assert refine(repository, model, warehouse, "--retry", "FAILED") == 0
    assert "0 documents were asked about again." in capsys.readouterr().out


@pytest.mark.slow
def test_a_code_names_what_is_asked_again_and_a_killed_retry_reaches_refined_later(
    spark: SparkSession, repository: Path, model: str, warehouse: Path
) -> None:
    assert refine(repository, model, warehouse, "--retry", "POISON_REQUEST,NOTHING", name="generate") == 0
    assert {key[:2] for key in attempts(spark, warehouse)} == {("d0", "chunk")}
    assert outcomes(spark, warehouse)["d0"] == "ENGINE_FAILED 1"  # not executed yet
    assert refine(repository, model, warehouse, name="execute") == 0
    assert outcomes(spark, warehouse)["d0"] == "EDITED EDITS"
    last = Warehouse(spark, str(warehouse)).read("runs").orderBy(F.desc("started_at")).first()
    assert last is not None
    assert (last["stage"], last["documents"]) == ("execute", 1)


@pytest.mark.slow
def test_a_document_that_could_not_be_prompted_gets_all_its_chunks(
    spark: SparkSession, repository: Path, model: str, warehouse: Path
) -> None:
    programs = DeltaTable.forPath(spark, str(warehouse / "programs"))
    chunks = programs.toDF().where("doc_id = 'd3' AND stage = 'chunk'").count()
    assert chunks > 1
    programs.delete("doc_id = 'd3' AND stage = 'chunk' AND chunk_index > 0")
    fail(spark, warehouse, "doc_id = 'd3' AND stage = 'chunk'", "PROMPT_FAILED", "ValueError")
    programs.update("doc_id = 'd3' AND stage = 'chunk'", {"chunk_count": F.lit(1), "attempts": F.lit(None).cast("int")})
    assert refine(repository, model, warehouse, "--retry", "PROMPT_FAILED") == 0
    assert attempts(spark, warehouse) == {("d3", "chunk", index): 2 for index in range(chunks)}
    assert outcomes(spark, warehouse)["d3"] == "EDITED EDITS"


@pytest.mark.slow
def test_a_chunk_that_could_not_be_prompted_is_asked_again_alone(
    spark: SparkSession, repository: Path, model: str, warehouse: Path
) -> None:
    fail(spark, warehouse, "doc_id = 'd3' AND stage = 'chunk' AND chunk_index = 1", "PROMPT_FAILED", "ValueError")
    assert refine(repository, model, warehouse, "--retry", "PROMPT_FAILED") == 0
    assert attempts(spark, warehouse) == {("d3", "chunk", 1): 2}
    assert outcomes(spark, warehouse)["d3"] == "EDITED EDITS"


def test_a_retry_of_what_is_no_failure_is_refused(
    repository: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse_codes("failed, ENGINE_FAILED") == ("FAILED", "ENGINE_FAILED")
    with pytest.raises(ConfigError, match="RETRY_BAD_CODE"):
        parse_codes("OK")
    assert refine(repository, model, tmp_path, "--retry", "d'1") == 2
    assert "[SPARK_PROX.RETRY_BAD_CODE]" in capsys.readouterr().err


@pytest.mark.slow
def test_another_attempt_that_fails_counts_as_one(spark: SparkSession, model: str, warehouse: Path) -> None:
    """A scripted engine never fails, so the answers of the second attempt are made failures before they are merged."""
    sets: Sequence[str] = [word for word in ARGUMENTS if word != "--set"]
    config = load_config(None, [*sets, f"model.path={model}"], {"warehouse": str(warehouse)})
    pipe = Pipeline(config, FUNCTIONS, name="test")
    assert pipe.retry(("POISON_REQUEST",), [Generate("chunk")]) == 1
    fail(spark, warehouse, "doc_id = 'd0' AND stage = 'chunk'", "ENGINE_FAILED", "POISON_REQUEST: request 1")
    pipe.retry((), [Execute()])
    assert outcomes(spark, warehouse)["d0"] == "ENGINE_FAILED 2"
    assert pipe.retry(("FAILED",), [Generate("chunk")]) == 2
    assert set(attempts(spark, warehouse).values()) == {2, 3}
