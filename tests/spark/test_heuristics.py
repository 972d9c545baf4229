"""Rule sets and the line classifier as heuristics: the same table, the same executor, side by side in one warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.errors import ModelError
from spark_prox.heuristics.line_classifier import train_line_classifier
from spark_prox.heuristics.line_rules import c4_rule, ten_words
from spark_prox.pipeline import Pipeline
from spark_prox.spark.sql import register_functions
from spark_prox.training.synthetic import synthetic_pages
from tests.spark.runs import pipeline, refined, write_lines
from udfs.sql import EXPLAIN_COLUMNS, ExplainProgram, refine_column

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

PAGES = {page.page_id: list(page.lines) for page in synthetic_pages(12)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heuristics")
    write_lines(folder / "pages.jsonl", ({"id": name, "text": "\n".join(lines)} for name, lines in PAGES.items()))
    return folder


def refine(folder: Path, heuristic: str, *sets: str) -> tuple[Pipeline, dict[str, Row]]:
    """All heuristics share one warehouse; the first to come ingests."""
    given = ("model.engine=author", f"model.path={heuristic}", "count_tokens=false", *sets)
    pipe = pipeline(folder / "w", folder / "pages.jsonl", *given, id_column="id")
    if not pipe.warehouse.exists("documents"):
        pipe.ingest()
    pipe.advance()
    return pipe, refined(pipe)


def test_rules_write_programs_side_by_side_and_their_text_is_the_rule_applied(
    spark: SparkSession, folder: Path
) -> None:
    off = ["doc.enabled=false", "policy.name=permissive"]
    for heuristic, rule in (("c4", c4_rule), ("ten_words", ten_words)):
        pipe, rows = refine(folder, heuristic, *off)
        for name, lines in PAGES.items():
            kept = [line for line, keep in zip(lines, rule(lines), strict=True) if keep]
            assert rows[name]["text"] == "\n".join(kept)
    programs = pipe.warehouse.read("programs")
    assert programs.count() == 2 * len(PAGES)
    assert {(row["model"], row["model_revision"], row["template"], row["engine"]) for row in programs.collect()} == {
        ("c4", "author-c4-1", "author@1", "author"),
        ("ten_words", "author-ten_words-1", "author@1", "author"),
    }
    # What one heuristic removes more than the other, in SQL and without running either again.
    register_functions(spark, refine=refine_column, explain=ExplainProgram, explain_columns=EXPLAIN_COLUMNS)
    programs.join(pipe.warehouse.read("documents").select("doc_id", "text"), "doc_id").createOrReplaceTempView("both")
    counted = "sum(size(split(prox_refine(text, program), ' '))) AS words"
    query = f"SELECT model, {counted} FROM both GROUP BY model"
    words = {row["model"]: row["words"] for row in spark.sql(query).collect()}
    assert words.keys() == {"c4", "ten_words"}
    assert words["c4"] != words["ten_words"]


def test_a_document_rule_drops_what_breaks_it(spark: SparkSession, folder: Path) -> None:
    _, rows = refine(folder, "gopher")
    from spark_prox.heuristics.document_rules import gopher_quality

    for name, lines in PAGES.items():
        assert (rows[name]["outcome"] == "DROPPED") == (gopher_quality(lines) is not None)


@pytest.mark.slow
def test_the_classifiers_margins_are_stored_and_the_threshold_is_a_policy(spark: SparkSession, folder: Path) -> None:
    file = folder / "line_classifier.npz"
    train_line_classifier(synthetic_pages(60)).save(file)
    pipe, rows = refine(folder, f"line_classifier:{file}", "doc.enabled=false")
    row = pipe.warehouse.read("programs").where("model LIKE 'line_classifier:%'").first()
    assert row is not None
    assert row["model_revision"].startswith("author-")
    assert len(row["line_margins"]) == row["line_count"]
    assert any(row["outcome"] == "EDITED" for row in rows.values())
    runs = pipe.warehouse.read("programs").count()
    sure = ["doc.enabled=false", "policy.overrides.min_remove_margin=50.0"]
    pipe, rows = refine(folder, f"line_classifier:{file}", *sure)
    assert {row["outcome"] for row in rows.values()} <= {"KEPT", "REFUSED"}
    assert pipe.warehouse.read("programs").count() == runs


def test_an_unknown_heuristic_is_an_error_before_anything_starts(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"AUTHOR_UNKNOWN.*c5.*gopher"):
        refine(folder, "c5")
    with pytest.raises(ModelError, match="AUTHOR_MISSING"):
        refine(folder, "line_classifier:none.npz")
