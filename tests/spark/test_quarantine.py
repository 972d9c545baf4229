"""Quarantine: what cannot be refined is in `rejects` and not in `refined`, and moves when that changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_prox.config.run import load_config
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import outcome_report
from spark_prox.warehouse.tables import Warehouse
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

WORDS = " ".join(f"word{n}" for n in range(20))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "pages.jsonl"
    rows = [{"id": f"d{n}", "url": f"https://h.example/{n}", "text": f"Home {n}\n{WORDS}\n{WORDS}"} for n in range(5)]
    rows += [{"id": "long", "text": f"{WORDS} " * 400}, {"id": "blank", "text": " "}, {"id": "d0", "text": WORDS}]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def pipeline(model: str, source: Path, sets: Sequence[str] = ()) -> Pipeline:
    config = load_config(
        None,
        [f"model.path={model}", "model.engine=scripted", "model.script=remove_lines(start=0, end=0)", *sets],
        {
            "warehouse": str(source.parent / "w"),
            "input.path": str(source),
            "input.format": "jsonl",
            "input.id_column": "id",
        },
    )
    return Pipeline(config, FUNCTIONS, name="test")


def held(warehouse: Warehouse) -> dict[str, Row]:
    """The rejects that stand for documents; looks first whether every document is in one table and in one only."""
    rows = warehouse.read("rejects").where("stage <> 'ingest'").collect()
    refined = [row["doc_id"] for row in warehouse.read("refined").select("doc_id").collect()]
    documents = [row["doc_id"] for row in warehouse.read("documents").select("doc_id").collect()]
    assert sorted([*refined, *(row["doc_id"] for row in rows)]) == sorted(documents)
    return {row["doc_id"]: row for row in rows}


def test_a_document_that_no_model_can_see_is_in_quarantine_with_its_reason(
    spark: SparkSession, model: str, source: Path
) -> None:
    pipe = pipeline(model, source)
    pipe.ingest()
    pipe.advance()
    rows = held(pipe.warehouse)
    assert set(rows) == {"long"}
    row = rows["long"]
    assert (row["stage"], row["code"], row["attempts"]) == ("generate-chunk", "LINE_TOO_LONG", 1)
    assert row["path"] == str(source)
    rejected = sorted(row["code"] for row in pipe.warehouse.read("rejects").collect())
    assert rejected == ["DUPLICATE_ID", "EMPTY_TEXT", "LINE_TOO_LONG"]
    assert "generate-chunk" in outcome_report(pipe.warehouse, pipe.settings)
    again = pipeline(model, source)
    version = DeltaTable.forName(spark, pipe.warehouse.name("rejects")).history(1).collect()[0]["version"]
    again.advance()
    assert held(again.warehouse) == rows
    assert DeltaTable.forName(spark, pipe.warehouse.name("rejects")).history(1).collect()[0]["version"] == version


def test_documents_move_into_quarantine_and_out_of_it_with_the_policy(
    spark: SparkSession, model: str, source: Path
) -> None:
    sets = ["model.script=I would rather not."]
    pipe = pipeline(model, source, sets)
    pipe.ingest()
    pipe.advance()
    rows = held(pipe.warehouse)
    assert {row["code"] for doc_id, row in rows.items() if doc_id != "long"} == {"NO_CALL"}
    assert len(rows) == 6
    upstream = pipeline(model, source, [*sets, "policy.name=compat"])
    upstream.execute()
    assert set(held(upstream.warehouse)) <= {"long"}
    back = pipeline(model, source, sets)
    back.execute()
    assert set(held(back.warehouse)) == set(rows)
    assert back.warehouse.read("refined").isEmpty()


@pytest.mark.slow
@pytest.mark.parametrize("dies_in", ["delete", "append"])
def test_a_move_that_is_killed_half_way_is_finished_by_the_next_run(
    spark: SparkSession, model: str, source: Path, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    pipe = pipeline(model, source)
    pipe.ingest()
    pipe.advance()
    programs = DeltaTable.forName(spark, pipe.warehouse.name("programs"))
    programs.update(
        "doc_id = 'd1' AND stage = 'chunk'",
        {"status": F.lit("ENGINE_FAILED"), "program": F.lit(None), "detail": F.lit("POISON_REQUEST: request 7")},
    )
    other = pipeline(model, source, ["policy.overrides={max_errors: 5}"])

    def dies(self: Warehouse, table: str, *args: object) -> None:
        if table in ("refined", "rejects"):
            raise KeyError("killed")
        original(self, table, *args)

    original = getattr(Warehouse, dies_in)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, dies_in, dies)
        with pytest.raises(KeyError):
            other.execute()
    other.execute()
    rows = held(other.warehouse)
    assert set(rows) == {"d1", "long"}
    assert (rows["d1"]["code"], rows["d1"]["detail"]) == ("ENGINE_FAILED", "POISON_REQUEST: request 7")


@pytest.mark.slow
def test_rows_that_an_earlier_version_left_as_failed_move_to_quarantine(
    spark: SparkSession, model: str, source: Path
) -> None:
    pipe = pipeline(model, source)
    pipe.ingest()
    pipe.advance()
    refined = DeltaTable.forName(spark, pipe.warehouse.name("refined"))
    refined.update("doc_id = 'd2'", {"outcome": F.lit("FAILED"), "reason": F.lit("NO_CALL")})
    pipe.execute()
    assert set(held(pipe.warehouse)) == {"long"}
    assert pipe.warehouse.read("refined").where("doc_id = 'd2' AND outcome = 'EDITED'").count() == 1
