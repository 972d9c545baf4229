"""Quarantine: what cannot be refined is in `rejects` and not in `refined`, and moves when that changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_prox.report.run_report import outcome_report
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished
from tests.spark.runs import pipeline, scripted

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


def held(warehouse: Warehouse) -> dict[str, Row]:
    """The rejects that stand for documents; looks first whether every document is in one table and in one only."""
    rows = warehouse.read("rejects").where("stage <> 'ingest'").collect()
    refined = [row["doc_id"] for row in warehouse.read("refined").select("doc_id").collect()]
    documents = [row["doc_id"] for row in warehouse.read("documents").select("doc_id").collect()]
    assert sorted([*refined, *(row["doc_id"] for row in rows)]) == sorted(documents)
    return {row["doc_id"]: row for row in rows}


def test_a_document_that_no_model_can_see_is_in_quarantine_with_its_reason(
    spark: SparkSession, finished: Finished
) -> None:
    """A second run leaves it there: see `test_pipeline`."""
    warehouse = Warehouse(spark, str(finished.warehouse))
    rows = held(warehouse)
    assert set(rows) == {"long"}
    row = rows["long"]
    assert (row["stage"], row["code"], row["attempts"]) == ("generate-chunk", "LINE_TOO_LONG", 1)
    assert row["path"] == str(finished.source)
    assert "generate-chunk" in outcome_report(warehouse, finished.refined["d7"]["settings_hash"])


def test_documents_move_into_quarantine_and_out_of_it_with_the_policy(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    sets = (*scripted(tiny_llama), "chunk.model.script=I would rather not.")
    pipe = pipeline(warehouse, None, *sets)
    pipe.advance()
    rows = held(pipe.warehouse)
    assert {row["code"] for doc_id, row in rows.items() if doc_id != "long"} == {"NO_CALL"}
    assert len(rows) == 31
    assert pipe.warehouse.read("refined").isEmpty()
    upstream = pipeline(warehouse, None, *sets, "policy.name=compat")
    upstream.execute()
    assert set(held(upstream.warehouse)) <= {"long"}


@pytest.mark.slow
@pytest.mark.parametrize("dies_in", ["delete", "append"])
def test_a_move_that_is_killed_half_way_is_finished_by_the_next_run(
    spark: SparkSession,
    tiny_llama: Path,
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_in: str,
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    DeltaTable.forPath(spark, str(warehouse / "programs")).update(
        "doc_id = 'd7' AND stage = 'chunk'",
        {"status": F.lit("ENGINE_FAILED"), "program": F.lit(None), "detail": F.lit("POISON_REQUEST: request 7")},
    )
    other = pipeline(warehouse, None, *scripted(tiny_llama), "policy.overrides={max_errors: 5}")

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
    assert set(rows) == {"d7", "long"}
    assert (rows["d7"]["code"], rows["d7"]["detail"]) == ("ENGINE_FAILED", "POISON_REQUEST: request 7")


@pytest.mark.slow
def test_rows_that_an_earlier_version_left_as_failed_move_to_quarantine(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    pipe = pipeline(*finished.copy(tmp_path), *scripted(tiny_llama))
    refined = DeltaTable.forName(spark, pipe.warehouse.name("refined"))
    refined.update("doc_id = 'd7'", {"outcome": F.lit("FAILED"), "reason": F.lit("NO_CALL")})
    pipe.execute()
    assert set(held(pipe.warehouse)) == {"long"}
    assert pipe.warehouse.read("refined").where("doc_id = 'd7' AND outcome = 'EDITED'").count() == 1
