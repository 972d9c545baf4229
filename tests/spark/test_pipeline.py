"""The whole pipeline on a local session: real Delta tables, a scripted engine in place of a model's answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from delta.tables import DeltaTable

from spark_prox.errors import TableError
from spark_prox.programs import Edit, apply_edits, restore_text
from spark_prox.report.run_report import example_report, outcome_report, query_report, tables_report
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished, page
from tests.spark.runs import ARROW_ROWS, figures, pipeline, refine, refined, scripted, write_lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DOCUMENTS = 31
"""Of the finished run: thirty are refined, and one is in quarantine."""


def writes(spark: SparkSession, warehouse: Warehouse, table: str) -> int:
    """Commits that appended."""
    return spark.sql(f"DESCRIBE HISTORY {warehouse.name(table)}").where("operation = 'WRITE'").count()


def test_documents_in_are_refined_plus_rejects(spark: SparkSession, finished: Finished) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    rejects = warehouse.read("rejects").collect()
    assert len(finished.source.read_text().splitlines()) == 35 == len(finished.refined) + len(rejects)
    assert sorted(row["code"] for row in rejects) == [
        *("BAD_ROW", "DUPLICATE_ID", "EMPTY_TEXT", "LINE_TOO_LONG", "MISSING_TEXT"),
    ]
    assert warehouse.read("refined").count() == 30
    assert warehouse.read("documents").count() == DOCUMENTS


def test_the_program_is_applied_and_recorded(finished: Finished) -> None:
    row = finished.refined["d7"]
    assert row["outcome"] == "EDITED"
    assert row["text"] == page(7).split("\n", 1)[1]
    assert (row["lines_before"], row["lines_after"]) == (6, 5)
    assert row["words_before"] - row["words_after"] == len(b"Home | About | Contact 7".split())
    assert row["tokens_before"] > row["tokens_after"] > 0
    assert [edit["removed"] for edit in row["edits"]] == ["Home | About | Contact 7\n"]
    assert row["n"] == 7
    assert row["policy"] == "default"


def test_original_and_refined_text_restore_each_other_from_the_stored_edits(
    spark: SparkSession, finished: Finished
) -> None:
    documents = Warehouse(spark, str(finished.warehouse)).read("documents").collect()
    assert len(documents) == DOCUMENTS
    for document in documents:
        if document["doc_id"] == "long":
            continue
        row = finished.refined[document["doc_id"]]
        edits = [Edit(**edit.asDict()) for edit in row["edits"]]
        assert apply_edits(document["text"], edits) == row["text"]
        assert restore_text(row["text"], edits) == document["text"]


def test_a_second_run_does_nothing_and_loses_nothing(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    before = Warehouse(spark, str(finished.warehouse))
    rejects, programs = before.read("rejects").collect(), before.read("programs").count()
    again = pipeline(*finished.copy(tmp_path), *scripted(tiny_llama), id_column="id")
    version = DeltaTable.forName(spark, again.warehouse.name("rejects")).history(1).collect()[0]["version"]
    assert refine(again) == finished.refined
    assert figures(again) == {"ingest": 0, "generate-doc": 0, "generate-chunk": 0, "execute": 0}
    assert sorted(again.warehouse.read("rejects").collect()) == sorted(rejects)
    assert DeltaTable.forName(spark, again.warehouse.name("rejects")).history(1).collect()[0]["version"] == version
    assert again.warehouse.read("programs").count() == programs == DOCUMENTS * 2 + 4  # four have two chunks


def test_dropped_documents_keep_their_row_and_get_no_chunk_program(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    """Nor is a run that drops everything stopped when it is too small to say anything."""
    sets = ("model.script_margin=-5.0", f"guard.min_documents={DOCUMENTS + 1}")
    pipe = pipeline(*finished.copy(tmp_path), *scripted(tiny_llama), *sets)
    pipe.advance()
    rows = refined(pipe).values()
    assert len(rows) == DOCUMENTS
    assert {row["outcome"] for row in rows} == {"DROPPED"}
    assert {row["text"] for row in rows} == {None}
    asked = pipe.warehouse.read("programs").where(f"run_id = '{pipe.log.run_id}'").groupBy("stage").count().collect()
    assert [tuple(row) for row in asked] == [("doc", DOCUMENTS)]


def test_another_policy_executes_again_without_a_model(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    other = pipeline(*finished.copy(tmp_path), *scripted(tiny_llama), "policy.name=compat")
    programs = other.warehouse.read("programs").count()
    other.execute()
    rows = other.warehouse.read("refined").collect()
    assert len(rows) == 30
    assert {row["policy"] for row in rows} == {"compat"}
    assert figures(other) == {"execute": DOCUMENTS}
    assert other.warehouse.read("programs").count() == programs


def test_a_changed_chunk_model_redoes_only_the_chunk_stage_and_stores_batch_by_batch(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    sets = ("chunk.model.script=keep_chunk()", "placement.batch_documents=16")
    other = pipeline(*finished.copy(tmp_path), *scripted(tiny_llama), *sets, id_column="id")
    before = writes(spark, other.warehouse, "programs")
    rows = refine(other)
    assert figures(other) == {"ingest": 0, "generate-doc": 0, "generate-chunk": DOCUMENTS, "execute": DOCUMENTS}
    assert len(rows) == 30
    assert {row["outcome"] for row in rows.values()} == {"KEPT"}
    assert writes(spark, other.warehouse, "programs") - before == 2  # ceil(31 / 16)


def test_a_changed_document_is_replaced_and_done_again(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, original = finished.copy(tmp_path)
    source = tmp_path / "changed.jsonl"
    source.write_text(original.read_text().replace("5 line 2", "changed 5 line 2", 1))
    again = pipeline(warehouse, source, *scripted(tiny_llama), id_column="id")
    rows = refine(again)
    assert figures(again) == {"ingest": 1, "generate-doc": 1, "generate-chunk": 1, "execute": 1}
    assert "changed" in rows["d5"]["text"]
    assert again.warehouse.read("refined").count() == 30


@pytest.mark.slow
def test_a_document_without_its_programs_is_in_quarantine_until_they_are_there(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    DeltaTable.forPath(spark, str(warehouse / "programs")).delete()
    pipe = pipeline(warehouse, None, *scripted(tiny_llama), "policy.overrides={max_errors: 5}")
    pipe.execute()
    assert pipe.warehouse.read("refined").isEmpty()
    rows = pipe.warehouse.read("rejects").where("stage = 'execute'").collect()
    assert {(row["code"], row["attempts"]) for row in rows} == {("NO_PROGRAM", 0)}
    assert len({row["doc_id"] for row in rows}) == len(rows) == DOCUMENTS
    pipe.advance()
    assert len(refined(pipe)) == 30
    assert {row["outcome"] for row in refined(pipe).values()} == {"EDITED"}
    assert pipe.warehouse.read("rejects").where("stage = 'execute'").isEmpty()


def test_a_stage_can_be_switched_off(spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path) -> None:
    warehouse, _ = finished.copy(tmp_path)
    no_chunk = pipeline(warehouse, None, *scripted(tiny_llama), "chunk.enabled=false")
    no_chunk.advance()
    assert len(refined(no_chunk)) == DOCUMENTS
    assert {row["outcome"] for row in refined(no_chunk).values()} == {"KEPT"}
    no_doc = pipeline(warehouse, None, *scripted(tiny_llama), "doc.enabled=false", "doc.model.script_margin=-5")
    no_doc.advance()
    assert len(refined(no_doc)) == 30
    assert {row["outcome"] for row in refined(no_doc).values()} == {"EDITED"}


def test_an_existing_table_with_another_schema_stops_the_run_before_it_writes(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "pages.jsonl", [{"id": "a", "text": "some text"}])
    spark.range(3).write.format("delta").save(str(tmp_path / "w" / "refined"))
    with pytest.raises(TableError, match=r"TABLE_SCHEMA.*refined.*doc_id"):
        pipeline(tmp_path / "w", source, *scripted(tiny_llama)).ingest()
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["_lease", "refined"]


def test_user_columns_of_another_type_stop_the_ingest_before_it_writes(
    spark: SparkSession, tiny_llama: Path, finished: Finished, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    source = write_lines(tmp_path / "new.jsonl", [{"id": "new", "text": "some text", "n": "a string now"}])
    again = pipeline(warehouse, source, *scripted(tiny_llama), id_column="id")
    with pytest.raises(TableError, match=r"TABLE_SCHEMA.*'n'"):
        again.ingest()
    assert again.warehouse.read("documents").count() == DOCUMENTS


def test_a_warehouse_that_cannot_be_written_is_one_error(spark: SparkSession, tiny_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="WAREHOUSE_UNWRITABLE"):
        pipeline(tmp_path / "file" / "w", None, *scripted(tiny_llama))


def test_tables_of_a_catalog_work_as_those_of_a_path(spark: SparkSession, tiny_llama: Path, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "pages.jsonl", [{"id": f"d{n}", "text": page(n), "n": n} for n in range(4, 10)])
    spark.sql("CREATE SCHEMA refining")
    try:
        sets = scripted(tiny_llama)
        assert len(refine(pipeline("catalog:refining", source, *sets, id_column="id"))) == 6
        assert spark.sql("SELECT count(*) AS n FROM refining.refined WHERE outcome = 'EDITED'").first()["n"] == 6
        other = pipeline("catalog:refining", source, *sets, "policy.name=compat", id_column="id")
        assert [row["policy"] for row in refine(other).values()] == ["compat"] * 6
        tables = [row["tableName"] for row in spark.sql("SHOW TABLES IN refining").collect()]
        assert "refined" in tables
        assert not [name for name in tables if name.startswith("_staging")]
    finally:
        spark.sql("DROP SCHEMA refining CASCADE")


def test_the_report_shows_counts_an_example_a_query_and_the_tables(spark: SparkSession, finished: Finished) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    settings = finished.refined["d7"]["settings_hash"]
    counts = outcome_report(warehouse, settings)
    assert "EDITED" in counts
    assert "DUPLICATE_ID" in counts
    example = example_report(warehouse, settings)
    assert example is not None
    assert "remove_lines(start=0, end=0)" in example
    assert "  -    0  Home | About" in example
    assert "h0.example" in query_report(spark, warehouse)
    assert str(finished.warehouse / "refined") in tables_report(warehouse)


def test_every_stage_of_a_run_is_a_row_with_what_it_did(spark: SparkSession, finished: Finished) -> None:
    rows = {row["stage"]: row for row in Warehouse(spark, str(finished.warehouse)).read("runs").collect()}
    assert (rows["ingest"]["documents"], rows["ingest"]["rejects"]) == (DOCUMENTS, 4)
    assert rows["generate-doc"]["programs"] == DOCUMENTS
    assert rows["generate-doc"]["prompt_tokens"] > 30 * 100
    assert json.loads(rows["execute"]["config"])["policy"]["name"] == "default"
    assert rows["execute"]["versions"]["pyspark"].startswith("4.")
    assert rows["execute"]["seconds"] > 0
    assert {row["run_id"] for row in rows.values()} == {finished.run_id}


def test_a_udf_gets_few_rows_in_several_arrow_batches(spark: SparkSession, finished: Finished) -> None:
    """A run has set the session's batches by then, as every test of this tier that runs one wants it to."""
    sizes = spark.range(40, numPartitions=1).mapInPandas(batch_sizes, "rows long").collect()
    assert [row["rows"] for row in sizes] == [ARROW_ROWS, ARROW_ROWS, 40 - 2 * ARROW_ROWS]


def batch_sizes(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield pd.DataFrame({"rows": [len(batch)]})
