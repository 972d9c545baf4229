"""Filters in a run: verdicts, what models then see, and what later runs decide again.

Spark runs, because filters are joins of tables; what they decide of one text is tested without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_prox.stages.addresses import normal_address
from spark_prox.stages.removal import remove_documents
from tests.spark import runs
from tests.spark.conftest import page

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from spark_prox.pipeline import Pipeline

EXACT = "filters.exact_duplicates.enabled=true"


def verdicts(pipe: Pipeline, stage: str) -> dict[str, Row]:
    rows = pipe.warehouse.read("verdicts").where(F.col("stage") == stage).collect()
    return {row["doc_id"]: row for row in rows}


def write_source(folder: Path) -> Path:
    rows: list[dict[str, object] | str] = [
        {"id": f"d{n}", "url": f"https://h.example/{n}", "text": page(n)} for n in range(4)
    ]
    rows += [
        {"id": "same-address", "url": "http://www.H.example:80/1/?utm_source=x#top", "text": page(9)},
        {"id": "same-text", "url": "https://other.example/2", "text": page(2).replace(" ", "  ")},
        {"id": "no-address", "url": None, "text": page(3) + "\n"},
    ]
    return runs.write_lines(folder / "pages.jsonl", rows)


def test_exact_duplicates_are_dropped_with_a_verdict_and_no_model_sees_them(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = (*runs.scripted(tiny_llama), EXACT)
    source = write_source(tmp_path)

    def run() -> Pipeline:
        return runs.pipeline(tmp_path / "w", source, *settings, id_column="id")

    first = run()
    assert [(line.stage, line.documents) for line in first.plan()] == [
        ("ingest", 7),
        ("exact-duplicates", 7),
        *(("generate-doc", 7), ("generate-chunk", 7), ("execute", 7)),
    ]
    rows = runs.refine(first)
    found = verdicts(first, "exact-duplicates")
    dropped = {key: (row["reason"], row["duplicate_of"]) for key, row in found.items() if row["verdict"] == "drop"}
    assert dropped == {
        "same-address": ("DUPLICATE_URL", "d1"),
        "same-text": ("DUPLICATE_TEXT", "d2"),
        "no-address": ("DUPLICATE_TEXT", "d3"),
    }
    assert len(found) == len(rows) == 7  # every document has a verdict and a row
    assert {key: (row["outcome"], row["reason"], row["doc_reason"]) for key, row in rows.items() if key in dropped} == {
        key: ("DROPPED", reason, "FILTERED") for key, (reason, _) in dropped.items()
    }
    asked = {row["doc_id"] for row in first.warehouse.read("programs").collect()}
    assert asked == {"d0", "d1", "d2", "d3"}
    assert runs.figures(first) == {
        **{"ingest": 7, "exact-duplicates": 7},
        **{"generate-doc": 4, "generate-chunk": 4, "execute": 7},
    }

    # What stayed leaves: its duplicate takes its place. Nothing else is decided again.
    with first.phase(), first.warehouse.staged(spark.createDataFrame([("d2",)], "doc_id string"), "gone") as gone:
        assert remove_documents(first.run, gone) == 1
    again = run()
    again.advance()
    assert runs.figures(again) == {
        **{"exact-duplicates": 1, "generate-doc": 1, "generate-chunk": 1, "execute": 1},
    }
    assert verdicts(again, "exact-duplicates")["same-text"]["verdict"] == "keep"
    assert runs.refined(again)["same-text"]["outcome"] == "EDITED"
    assert "d2" not in verdicts(again, "exact-duplicates")
    assert [line.documents for line in run().plan()] == [1, 1, 1, 1, 1]  # d2 would come back

    # Without the filter all documents are refined, and its verdicts do not count.
    off = runs.pipeline(tmp_path / "w", source, *runs.scripted(tiny_llama), id_column="id")
    off.advance()
    assert {row["outcome"] for row in runs.refined(off).values()} == {"EDITED"}


def test_addresses_that_only_look_different_are_one(spark: SparkSession) -> None:
    groups = [
        ["http://Example.com", "https://www.example.com/", "https://example.com:443#top", "http://me:pw@example.com."],
        ["https://example.com/a?b=1&c=2", "http://example.com/a/?c=2&utm_medium=mail&b=1&fbclid=xyz"],
        ["https://example.com/A"],
        ["https://example.com/a"],
        ["https://example.com:8080/a"],
        ["https://example.com/a?id=utm_source"],
    ]
    rows = [(number, url) for number, urls in enumerate(groups) for url in urls]
    frame = spark.createDataFrame([*rows, (99, "no address"), (99, None), (99, "mailto:x@y")], "n int, url string")
    by_group: dict[int, set[str | None]] = {}
    for row in frame.select("n", normal_address(F.col("url")).alias("normal")).collect():
        by_group.setdefault(row["n"], set()).add(row["normal"])
    assert by_group.pop(99) == {None}
    assert all(len(found) == 1 for found in by_group.values())
    assert len(set.union(*by_group.values())) == len(groups)
