"""`input.copy_text: false` on real Delta tables: versions, VACUUM and change feeds are what it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.errors import InputError
from spark_prox.pipeline import FILTERS, Pipeline
from spark_prox.stages import uncopied
from spark_prox.warehouse.tables import Warehouse
from tests.spark.conftest import Finished, page
from tests.spark.runs import pipeline, refine, refined, run_job, scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEPT = "SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')"
NO_MODEL = ("doc.enabled=false", "chunk.enabled=false", "count_tokens=false")
"""Both levels off: texts are ingested and executed unchanged."""
REPEATED = ("filters.repeated_lines.enabled=true", "filters.repeated_lines.min_pages=3")
"""The last line of the pages goes, or the page: but for numbers they are the same on all pages of their hosts."""
SHORT = "spark.databricks.delta.retentionDurationCheck.enabled"

LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
"""VACUUM starts this many tasks, 10,000 by default."""


def write(spark: SparkSession, source: Path, numbers: range) -> None:
    rows = [(f"d{n}", f"https://h{n % 3}.example/{n}", page(n), n) for n in numbers]
    frame = spark.createDataFrame(rows, "id string, url string, text string, n int").coalesce(1)
    frame.write.format("delta").mode("append").save(str(source))


def run_over(source: Path, warehouse: Path, *sets: str, **columns: object) -> Pipeline:
    keys = {"format": "delta", "id_column": "id", "copy_text": False, **columns}
    return pipeline(warehouse, source, *(sets or NO_MODEL), **keys)


def texts(pipe: Pipeline) -> dict[str, str]:
    return {name: row["text"] for name, row in refined(pipe).items()}


def balanced_books(warehouse: Warehouse) -> dict[str, str]:
    """Every document is in `refined` or in `rejects`; the codes of those in `rejects`."""
    ids = sorted(row["doc_id"] for row in warehouse.read("documents").select("doc_id").collect())
    texts = [row["doc_id"] for row in warehouse.read("refined").select("doc_id").collect()]
    held = {row["doc_id"]: row["code"] for row in warehouse.read("rejects").where("stage <> 'ingest'").collect()}
    assert sorted([*texts, *held]) == ids
    return held


def places(warehouse: Warehouse) -> list[tuple[bool, int | None, int]]:
    """(copied, version, documents)."""
    rows = warehouse.read("documents").selectExpr("text IS NOT NULL AS copied", "text_place.version AS version")
    return [tuple(row) for row in rows.groupBy("copied", "version").count().orderBy("copied", "version").collect()]


@pytest.fixture
def source(spark: SparkSession, tmp_path: Path) -> Path:
    """Version 0 holds the pages of `finished`."""
    write(spark, tmp_path / "source", range(30))
    return tmp_path / "source"


@contextmanager
def forgotten_versions(spark: SparkSession, source: Path) -> Iterator[None]:
    """Without the files of the versions before."""
    spark.sql(f"ALTER TABLE delta.`{source}` {KEPT}")
    settings = {SHORT: "false", LISTING: "1"}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        spark.sql(f"VACUUM delta.`{source}` RETAIN 0 HOURS")
        yield
    finally:
        for key in settings:
            spark.conf.unset(key)


@pytest.mark.slow  # five runs over one source
def test_texts_are_read_from_their_version_as_long_as_it_is_there(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, place = tmp_path / "source", ("--warehouse", str(tmp_path / "w"))
    write(spark, source, range(4))
    first = run_over(source, tmp_path / "w")
    first.ingest()
    spark.sql(f"UPDATE delta.`{source}` SET text = concat(text, '\nnews') WHERE id = 'd1'")
    spark.sql(f"DELETE FROM delta.`{source}` WHERE id = 'd2'")
    first.advance()
    assert texts(first) == {f"d{n}": page(n) for n in range(4)}

    with forgotten_versions(spark, source):
        other = pipeline(tmp_path / "w", None, *NO_MODEL, "policy.name=compat")
        other.execute()
        assert "version 0 of" in capsys.readouterr().err
        assert balanced_books(other.warehouse) == {"d1": "TEXT_GONE", "d2": "TEXT_GONE"}
        assert texts(other) == {"d0": page(0), "d3": page(3)}
        assert run_job("show", *place, "--doc-id", "d1") == 2
        assert "[SPARK_PROX.TEXT_GONE] The text of document 'd1'" in capsys.readouterr().err
        assert run_job("export", *place, "--from", "raw", "--format", "parquet", "--to", str(tmp_path / "raw")) == 2
        assert "[SPARK_PROX.TEXT_GONE]" in capsys.readouterr().err

        refine(run_over(source, tmp_path / "w", *NO_MODEL, "policy.name=compat"))
        assert texts(other) == {"d0": page(0), "d1": page(1) + "\nnews", "d3": page(3)}
        assert [row[2] for row in places(other.warehouse)] == [3, 1]
        assert balanced_books(other.warehouse) == {"d2": "TEXT_GONE"}


@pytest.mark.slow  # four runs over one source
def test_a_followed_table_is_read_at_the_version_of_each_micro_batch(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    write(spark, source, range(4))
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")  # version 1
    spark.sql(f"UPDATE delta.`{source}` SET text = 'an unread text' WHERE id = 'd0'")
    write(spark, source, range(4, 6))  # version 3
    following = run_over(source, tmp_path / "w", incremental=True)
    assert following.refine_new() == 1
    assert places(following.warehouse) == [(False, 3, 6)]
    spark.sql(f"UPDATE delta.`{source}` SET text = concat(text, '\nnews') WHERE id = 'd1'")
    spark.sql(f"DELETE FROM delta.`{source}` WHERE id = 'd2'")
    assert run_over(source, tmp_path / "w", incremental=True).refine_new() == 1
    assert places(following.warehouse) == [(False, 3, 4), (False, 5, 1)]
    assert balanced_books(following.warehouse) == {}
    before = texts(following)
    assert before == {"d0": "an unread text", "d1": page(1) + "\nnews"} | {f"d{n}": page(n) for n in (3, 4, 5)}

    spark.sql(f"UPDATE delta.`{source}` SET text = 'not ingested yet' WHERE id = 'd3'")
    assert run_job("maintain", "--warehouse", str(tmp_path / "w"), "--follow-sources", "--tables", "documents") == 0
    assert places(following.warehouse) == [(False, 3, 1), (False, 6, 4)]
    assert "documents that need it" in capsys.readouterr().out
    other = pipeline(tmp_path / "w", None, *NO_MODEL, "policy.name=compat")
    other.execute()
    assert texts(other) == before
    assert balanced_books(other.warehouse) == {}


def test_a_table_whose_ids_name_no_single_row_is_refused_before_anything_is_stored(
    spark: SparkSession, source: Path, tmp_path: Path
) -> None:
    write(spark, source, range(3))
    with pytest.raises(InputError, match=r"COPY_NEEDED.*3 rows share their id"):
        run_over(source, tmp_path / "w").ingest()
    assert not Warehouse(spark, str(tmp_path / "w")).exists("documents")
    first = run_over(source, tmp_path / "w2", incremental=True, max_files_per_trigger=1)
    with pytest.raises(InputError, match=r"COPY_NEEDED.*3 rows share their id"):
        first.refine_new()
    spark.range(3).selectExpr("id / 2 AS id", "'a text' AS text").write.format("delta").save(str(tmp_path / "half"))
    with pytest.raises(InputError, match=r"COPY_NEEDED.*double"):
        run_over(tmp_path / "half", tmp_path / "w3").ingest()


@pytest.mark.slow  # two runs over a finished one
def test_copied_and_uncopied_texts_stand_in_one_warehouse(
    spark: SparkSession, finished: Finished, source: Path, tmp_path: Path
) -> None:
    warehouse, _ = finished.copy(tmp_path)
    write(spark, source, range(30, 33))
    mixed = run_over(source, warehouse)
    refine(mixed)
    assert places(mixed.warehouse) == [(False, 1, 3), (True, None, 31)]
    assert texts(mixed)["d31"] == page(31)
    assert texts(mixed)["d1"] == page(1)
    assert balanced_books(mixed.warehouse) == {}
    copied = run_over(source, warehouse, copy_text=True)
    copied.ingest()
    assert places(copied.warehouse) == [(True, None, 34)]
    assert {row["text"] for row in copied.warehouse.read("documents").where("doc_id = 'd31'").collect()} == {page(31)}


@pytest.mark.slow  # a whole run with both levels, beside the finished one
def test_a_run_without_copies_gives_what_a_run_with_copies_gives(
    spark: SparkSession,
    tiny_llama: Path,
    finished: Finished,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = run_over(source, tmp_path / "w", *scripted(tiny_llama))
    rows = refine(first)
    assert places(first.warehouse) == [(False, 0, 30)]
    for name, row in rows.items():
        copied = finished.refined[name]
        assert (row["text"], row["edits"], row["doc_hash"]) == (copied["text"], copied["edits"], copied["doc_hash"])
    place = ("--warehouse", str(tmp_path / "w"))
    assert run_job("show", *place, "--doc-id", "d1") == 0
    assert "  -     0  Home | About | Contact 1\n" in capsys.readouterr().out
    assert run_job("export", *place, "--from", "raw", "--format", "parquet", "--to", str(tmp_path / "raw")) == 0
    exported = spark.read.parquet(str(tmp_path / "raw" / "train")).collect()
    assert {row["id"]: row["text"] for row in exported} == {f"d{n}": page(n) for n in range(30)}
    filtering = run_over(source, tmp_path / "w", *NO_MODEL, *REPEATED)
    with filtering.phase():
        for stage in FILTERS:
            stage.run(filtering.run)
    verdicts = filtering.warehouse.read("verdicts").collect()
    decided = {row["doc_id"]: row["program"] is not None or row["verdict"] == "drop" for row in verdicts}
    assert decided == dict.fromkeys(rows, True)


def test_portions_of_a_run_without_copies_leave_no_document_out(
    spark: SparkSession, tiny_llama: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets follow the ids there and not their hash: only Delta tables show whether all stages mean the same ones."""
    monkeypatch.setattr(uncopied, "_SLICE_ROWS", 4)
    pipe = run_over(source, tmp_path / "w", *scripted(tiny_llama), "placement.batch_documents=8")
    rows = refine(pipe)
    assert balanced_books(pipe.warehouse) == {}
    assert len(rows) == 30
    programs = pipe.warehouse.read("programs").select("doc_id", "stage").collect()
    assert {stage: len({row["doc_id"] for row in programs if row["stage"] == stage}) for stage in ("doc", "chunk")} == {
        "doc": 30,
        "chunk": 30,
    }
