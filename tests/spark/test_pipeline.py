"""The whole pipeline on a local session: real Delta tables, a scripted engine in place of a model's answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.run import load_config
from spark_prox.errors import TableError
from spark_prox.pipeline import Pipeline
from spark_prox.programs import Edit, apply_edits, restore_text
from spark_prox.report.run_report import example_report, outcome_report, query_report, tables_report
from spark_prox.warehouse.tables import Warehouse
from tests.tiny_models import write_tiny_llama
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


@dataclass(frozen=True)
class Finished:
    """A run that is done; tests read it, and copy its warehouse before they go on with it."""

    source: Path
    warehouse: Path
    run_id: str
    refined: dict[str, Row]

    def copy(self, folder: Path) -> tuple[Path, Path]:
        """The source, and a warehouse of one's own."""
        shutil.copytree(self.warehouse, folder / "w")
        return self.source, folder / "w"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny"))


def write_source(folder: Path) -> Path:
    file = folder / "pages.jsonl"
    rows = [{"id": f"d{n}", "url": f"https://h{n % 3}.example/{n}", "text": page(n), "n": n} for n in range(30)]
    rows += [{"id": "null", "text": None, "n": 1}, {"id": "blank", "text": " \n ", "n": 1}, {"id": "d3", "text": "x y"}]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n{broken\n", encoding="utf-8")
    return file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path)


@pytest.fixture(scope="module")
def finished(spark: SparkSession, model: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    source = write_source(folder)
    pipe = pipeline(spark, model, source, folder / "w")
    return Finished(source=source, warehouse=folder / "w", run_id=pipe.log.run_id, refined=run(pipe))


def page(n: int) -> str:
    words = " ".join(f"word{n}-{i}" for i in range(20))
    return f"Home | About | Contact {n}\n" + "\n".join(f"{words} line {i}" for i in range(14)) + "\nCopyright"


def pipeline(spark: SparkSession, model: str, source: Path, warehouse: Path, sets: Sequence[str] = ()) -> Pipeline:
    config = load_config(
        None,
        [
            f"model.path={model}",
            "model.engine=scripted",
            "model.script=remove_lines(start=0, end=0)",
            "chunk.max_prompt_tokens=100000",
            "chunk.max_chunk_tokens=50000",
            *sets,
        ],
        {"warehouse": str(warehouse), "input.path": str(source), "input.format": "jsonl", "input.id_column": "id"},
    )
    return Pipeline(config, FUNCTIONS, name="test")


def run(pipe: Pipeline) -> dict[str, Row]:
    pipe.ingest()
    pipe.generate("doc")
    pipe.generate("chunk")
    pipe.execute()
    return {row["doc_id"]: row for row in pipe.warehouse.read("refined").collect()}


def figures(pipe: Pipeline) -> dict[str, int]:
    """Documents that each stage of a run worked on."""
    rows = pipe.warehouse.read("runs").where(f"run_id = '{pipe.log.run_id}'").collect()
    return {row["stage"]: row["documents"] for row in rows}


def test_documents_in_are_refined_plus_rejects(spark: SparkSession, finished: Finished) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    rejects = warehouse.read("rejects").collect()
    assert len(finished.source.read_text().splitlines()) == 34 == len(finished.refined) + len(rejects)
    assert sorted(row["code"] for row in rejects) == ["BAD_ROW", "DUPLICATE_ID", "EMPTY_TEXT", "MISSING_TEXT"]
    assert warehouse.read("refined").count() == warehouse.read("documents").count() == 30


def test_the_program_is_applied_and_recorded(finished: Finished) -> None:
    row = finished.refined["d7"]
    assert row["outcome"] == "EDITED"
    assert row["text"] == page(7).split("\n", 1)[1]
    assert (row["lines_before"], row["lines_after"]) == (16, 15)
    assert row["words_before"] - row["words_after"] == len(b"Home | About | Contact 7".split())
    assert row["tokens_before"] > row["tokens_after"] > 0
    assert [edit["removed"] for edit in row["edits"]] == ["Home | About | Contact 7\n"]
    assert row["n"] == 7
    assert row["policy"] == "default"


def test_original_and_refined_text_restore_each_other_from_the_stored_edits(
    spark: SparkSession, finished: Finished
) -> None:
    documents = Warehouse(spark, str(finished.warehouse)).read("documents").collect()
    for document in documents:
        row = finished.refined[document["doc_id"]]
        edits = [Edit(**edit.asDict()) for edit in row["edits"]]
        assert apply_edits(document["text"], edits) == row["text"]
        assert restore_text(row["text"], edits) == document["text"]


def test_a_second_run_does_nothing_and_loses_nothing(
    spark: SparkSession, model: str, finished: Finished, tmp_path: Path
) -> None:
    again = pipeline(spark, model, *finished.copy(tmp_path))
    assert run(again) == finished.refined
    assert figures(again) == {"ingest": 0, "generate-doc": 0, "generate-chunk": 0, "execute": 0}
    assert again.warehouse.read("rejects").count() == 4
    assert again.warehouse.read("programs").count() == 60


def test_dropped_documents_keep_their_row_and_get_no_chunk_program(
    spark: SparkSession, model: str, source: Path, tmp_path: Path
) -> None:
    pipe = pipeline(spark, model, source, tmp_path / "w", ["model.script_margin=-5.0"])
    refined = run(pipe)
    assert {row["outcome"] for row in refined.values()} == {"DROPPED"}
    assert {row["text"] for row in refined.values()} == {None}
    assert pipe.warehouse.read("programs").where("stage = 'chunk'").count() == 0


def test_another_policy_executes_again_without_a_model(
    spark: SparkSession, model: str, finished: Finished, tmp_path: Path
) -> None:
    other = pipeline(spark, model, *finished.copy(tmp_path), ["policy.name=compat"])
    other.execute()
    rows = other.warehouse.read("refined").collect()
    assert len(rows) == 30
    assert {row["policy"] for row in rows} == {"compat"}
    assert figures(other) == {"execute": 30}
    assert other.warehouse.read("programs").count() == 60


def test_a_changed_chunk_model_redoes_only_the_chunk_stage(
    spark: SparkSession, model: str, finished: Finished, tmp_path: Path
) -> None:
    other = pipeline(spark, model, *finished.copy(tmp_path), ["chunk.model.script=keep_chunk()"])
    refined = run(other)
    assert figures(other) == {"ingest": 0, "generate-doc": 0, "generate-chunk": 30, "execute": 30}
    assert {row["outcome"] for row in refined.values()} == {"KEPT"}


def test_a_changed_document_is_replaced_and_done_again(
    spark: SparkSession, model: str, finished: Finished, tmp_path: Path
) -> None:
    original, warehouse = finished.copy(tmp_path)
    source = tmp_path / "changed.jsonl"
    source.write_text(original.read_text().replace("word5-3", "changed"))
    again = pipeline(spark, model, source, warehouse)
    refined = run(again)
    assert figures(again) == {"ingest": 1, "generate-doc": 1, "generate-chunk": 1, "execute": 1}
    assert "changed" in refined["d5"]["text"]
    assert again.warehouse.read("refined").count() == 30


def test_portions_are_stored_one_by_one(spark: SparkSession, model: str, source: Path, tmp_path: Path) -> None:
    pipe = pipeline(spark, model, source, tmp_path / "w", ["placement.batch_documents=7"])
    assert len(run(pipe)) == 30
    history = spark.sql(f"DESCRIBE HISTORY {pipe.warehouse.name('programs')}").where("operation = 'WRITE'").count()
    assert history == 10  # ceil(30 / 7) portions of each stage


def test_a_document_without_its_programs_is_in_quarantine_until_they_are_there(
    spark: SparkSession, model: str, source: Path, tmp_path: Path
) -> None:
    pipe = pipeline(spark, model, source, tmp_path / "w")
    pipe.ingest()
    pipe.execute()
    assert pipe.warehouse.read("refined").isEmpty()
    rows = pipe.warehouse.read("rejects").where("stage = 'execute'").collect()
    assert {(row["code"], row["attempts"]) for row in rows} == {("NO_PROGRAM", 0)}
    assert len({row["doc_id"] for row in rows}) == len(rows) == 30
    assert {row["outcome"] for row in run(pipe).values()} == {"EDITED"}
    assert pipe.warehouse.read("rejects").where("stage = 'execute'").isEmpty()


def test_a_stage_can_be_switched_off(spark: SparkSession, model: str, source: Path, tmp_path: Path) -> None:
    no_chunk = run(pipeline(spark, model, source, tmp_path / "a", ["chunk.enabled=false"]))
    assert {row["outcome"] for row in no_chunk.values()} == {"KEPT"}
    no_doc = run(pipeline(spark, model, source, tmp_path / "b", ["doc.enabled=false", "model.script_margin=-5"]))
    assert {row["outcome"] for row in no_doc.values()} == {"EDITED"}


def test_an_existing_table_with_another_schema_stops_the_run_before_it_writes(
    spark: SparkSession, model: str, source: Path, tmp_path: Path
) -> None:
    spark.range(3).write.format("delta").save(str(tmp_path / "w" / "refined"))
    with pytest.raises(TableError, match=r"TABLE_SCHEMA.*refined.*doc_id"):
        pipeline(spark, model, source, tmp_path / "w").ingest()
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["_lease", "refined"]


def test_user_columns_of_another_type_stop_the_ingest_before_it_writes(
    spark: SparkSession, model: str, finished: Finished, tmp_path: Path
) -> None:
    _, warehouse = finished.copy(tmp_path)
    source = tmp_path / "new.jsonl"
    source.write_text('{"id": "new", "text": "some text", "n": "a string now"}\n')
    again = pipeline(spark, model, source, warehouse)
    with pytest.raises(TableError, match=r"TABLE_SCHEMA.*'n'"):
        again.ingest()
    assert again.warehouse.read("documents").count() == 30


def test_a_warehouse_that_cannot_be_written_is_one_error(
    spark: SparkSession, model: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="WAREHOUSE_UNWRITABLE"):
        pipeline(spark, model, source, tmp_path / "file" / "w")


def test_tables_of_a_catalog_work_as_those_of_a_path(
    spark: SparkSession, model: str, source: Path, tmp_path: Path
) -> None:
    spark.sql("CREATE SCHEMA refining")
    try:
        pipe = pipeline(spark, model, source, Path("catalog:refining"))
        assert len(run(pipe)) == 30
        assert spark.sql("SELECT count(*) AS n FROM refining.refined WHERE outcome = 'EDITED'").first()["n"] == 30
        assert len(run(pipeline(spark, model, source, Path("catalog:refining"), ["policy.name=compat"]))) == 30
        assert not [t.name for t in spark.catalog.listTables("refining") if t.name.startswith("_staging")]
    finally:
        spark.sql("DROP SCHEMA refining CASCADE")


def test_the_report_shows_counts_an_example_a_query_and_the_tables(
    spark: SparkSession, model: str, finished: Finished
) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    settings = finished.refined["d1"]["settings_hash"]
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
    assert (rows["ingest"]["documents"], rows["ingest"]["rejects"]) == (30, 4)
    assert rows["generate-doc"]["programs"] == 30
    assert rows["generate-doc"]["prompt_tokens"] > 30 * 100
    assert json.loads(rows["execute"]["config"])["policy"]["name"] == "default"
    assert rows["execute"]["versions"]["pyspark"].startswith("4.")
    assert rows["execute"]["seconds"] > 0
    assert {row["run_id"] for row in rows.values()} == {finished.run_id}
