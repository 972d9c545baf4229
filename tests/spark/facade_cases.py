"""What the facade is tried on, on a classic session and on one of Spark Connect, and what has to come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import spark_prox

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_prox.report.corpus import Corpus

TEXT = "Home | News | Shop\nThe river rose two metres and the bridge was closed.\nNobody was hurt, the mayor said."
SCHEMA = (
    "id string, text string, `OutCome` long, `a.b ``c` map<string,struct<`x y`:int>>, own string, "
    "`p0` array<struct<`doc_status`:string>>, c0 timestamp, `input_outcome` string"
)
"""Names that are ours, or that a plan of ours could use, or that SQL would have to quote."""
OWN = ("OutCome", "a.b `c", "own", "p0", "c0", "input_outcome")


def pages(spark: SparkSession) -> DataFrame:
    """A page, one without an id, one without text, a blank one, and a page of two chunks."""
    from datetime import datetime, timezone

    mine = (7, {"k": (1,)}, "mine", [("s",)], datetime(2026, 1, 2, tzinfo=timezone.utc), "taken")
    rows = [("page", TEXT), (None, TEXT), ("null", None), ("blank", " \n "), ("long", "\n".join([TEXT] * 12))]
    return spark.createDataFrame([(id_, text, *mine) for id_, text in rows], SCHEMA)


def refined(spark: SparkSession, model: Path) -> dict[str | None, dict[str, Any]]:
    """The refined rows by id: a script removes the first line, the tokenizer is the model's."""
    settings = {
        "model.engine": "scripted",
        "model.script": "remove_lines(start=0, end=0)",
        "chunk.max_chunk_tokens": 300,
    }
    frame = spark_prox.refine(pages(spark), model=str(model), settings=settings)
    return {row["id"]: row.asDict(recursive=True) for row in frame.collect()}


def check(rows: dict[str | None, dict[str, Any]]) -> None:
    """Documents in are rows out, with what they brought along."""
    assert {id_: (row["outcome"], row["reason"]) for id_, row in rows.items()} == {
        "page": ("EDITED", "EDITS"),
        "long": ("EDITED", "EDITS"),
        None: ("FAILED", "MISSING_ID"),
        "null": ("FAILED", "MISSING_TEXT"),
        "blank": ("FAILED", "EMPTY_TEXT"),
    }
    page = rows["page"]
    assert page["text"] == TEXT.partition("\n")[2]
    assert page["input_text"] == TEXT
    assert [edit["removed"] for edit in page["edits"]] == [TEXT.partition("\n")[0] + "\n"]
    assert [(p["stage"], p["status"], p["program"]) for p in page["programs"]] == [
        ("doc", "OK", "keep_doc()"),
        ("chunk", "OK", "remove_lines(start=0, end=0)"),
    ]
    assert (page["lines_before"], page["lines_after"]) == (3, 2)
    assert page["tokens_before"] > page["tokens_after"] > 0
    assert (rows[None]["text"], rows["null"]["text"], rows["blank"]["text"]) == (TEXT, None, " \n ")
    assert rows["null"]["programs"] == []
    assert [p["chunk_index"] for p in rows["long"]["programs"]][:3] == [-1, 0, 1]
    for row in rows.values():
        assert row["input_input_OutCome"] == 7
        assert row["a.b `c"] == {"k": {"x y": 1}}
        assert row["p0"] == [{"doc_status": "s"}]
        assert (row["own"], row["input_outcome"]) == ("mine", "taken")
        assert row["c0"].isoformat().startswith("2026-01-0")


def asked(corpus: Corpus) -> dict[str, Any]:
    """What a person asks of the warehouse of the fixture `finished`."""
    both = corpus.sql("SELECT count(*) FROM refined JOIN documents USING (doc_id)")
    return {
        "tables": corpus.tables(),
        "outcomes": [[row["outcome"], row["documents"]] for row in corpus.outcomes().collect()],
        "rejected": [list(row) for row in corpus.rejected().collect()],
        "hosts": [row["documents"] for row in corpus.hosts().collect()],
        "statuses": [[row["stage"], row["status"], row["programs"]] for row in corpus.statuses().collect()],
        "sql": [list(row) for row in both.collect()],
    }
