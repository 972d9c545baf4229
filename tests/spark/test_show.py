"""`jobs/show.py`, `jobs/label.py` and a rerun over real tables: change feeds, SQL of the operator, rows of `runs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.spark.conftest import Finished, page
from tests.spark.runs import run_job

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession


def test_a_document_is_shown_from_its_input_to_what_another_policy_would_do(
    spark: SparkSession, finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--warehouse", str(finished.warehouse))
    assert run_job("show", *place, "--url", "https://h1.example/7", "--policy", "compat") == 0
    said = capsys.readouterr().out
    for part in (
        "Document d7",
        f"input     {finished.source}: 1 files, ",
        f"by run {finished.run_id}, spark_prox 0.1.0 code ",
        "documents 0: insert, doc_hash ",
        "refined 0: insert, ",
        "remove_lines(start=0, end=0)",
        "  -     0  Home | About | Contact 7",
        "Under policy compat",
    ):
        assert part in said, part
    assert "\x1b" not in said  # no terminal, no colour
    assert run_job("show", *place, "--doc-id", "long", "--doc-id", "null") == 0
    said = capsys.readouterr().out
    assert "rejected  LINE_TOO_LONG by generate-chunk" in said
    assert "rejected  MISSING_TEXT by ingest" in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--sample", "no_column = 1"), "SAMPLE_BAD_SQL"),
        (("--sample", "outcome = 'EDITED' AND ("), "SAMPLE_BAD_SQL"),
        (("--sample", "outcome; DROP TABLE refined"), "SAMPLE_BAD_SQL"),
        (("--sample", "CAST(text AS INT) > 1"), "SAMPLE_BAD_SQL"),
        (("--doc-id", "nobody"), "DOCUMENT_NOT_FOUND"),
    ],
)
def test_what_cannot_be_found_is_one_line_without_a_word_of_a_document(
    finished: Finished, capsys: pytest.CaptureFixture[str], words: tuple[str, str], code: str
) -> None:
    assert run_job("show", "--warehouse", str(finished.warehouse), *words) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert said.startswith(f"[SPARK_PROX.{code}]")
    assert "word1" not in said


def test_labels_give_the_precision_of_the_run(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "mine.jsonl"
    rows = []
    for n in (7, 8, 9):
        lines = page(n).split("\n")
        keep = [0 if n < 9 else 1, *([1] * (len(lines) - 2)), 0]  # the run removed each header, and no footer
        rows.append({"id": f"d{n}", "url": None, "source": "s", "text": page(n), "keep": keep})
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = ("--warehouse", str(finished.warehouse), "--limit", "2")
    assert run_job("label", *place, "--output", str(labels), "--figures-only") == 0
    said = capsys.readouterr().out
    assert "3 pages, 18 lines: the run removed 3, you would remove 5." in said
    assert "precision of removals  66.7% (" in said
    assert "recall of removals     40.0% (" in said
    assert run_job("label", *place, "--output", str(labels)) == 2
    assert "NO_TERMINAL" in capsys.readouterr().err


def test_a_run_is_done_again_from_its_row_and_gives_the_same_texts(
    spark: SparkSession, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("--warehouse", str(finished.warehouse), "--into", str(tmp_path / "again"))
    assert run_job("refine", "--rerun", finished.run_id, *place) == 0
    said = capsys.readouterr().out
    assert f"Rerun of {finished.run_id}: code, models, policy and input are the same" in said
    again = spark.read.format("delta").load(str(tmp_path / "again" / "refined")).collect()
    assert {row["doc_id"]: decided(row) for row in again} == {
        doc_id: decided(row) for doc_id, row in finished.refined.items()
    }
    assert run_job("refine", "--rerun", "nobody", *place) == 2
    assert (
        f"RUN_UNKNOWN] The table runs has no run 'nobody'. The last ones: {finished.run_id}" in capsys.readouterr().err
    )
    assert run_job("refine", "--rerun", finished.run_id, *place[:2], "--into", str(finished.warehouse)) == 2
    assert "RERUN_SAME_WAREHOUSE" in capsys.readouterr().err


def decided(row: Row) -> tuple[object, ...]:
    return (row["text"], row["outcome"], row["reason"], row["settings_hash"], row["tokens_after"])
