"""The main job as `make demo` runs it: real spark-submit, example pages, the embedded refiner on the CPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.evaluation.metrics import mean, score_page
from tests.quick_spark import QUICK_JVM
from tests.spark.runs import pipeline

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

pytestmark = pytest.mark.model


@dataclass(frozen=True)
class Demo:
    """What a finished demo printed and stored. spark-submit sends a job's standard error to standard output."""

    out: str
    warehouse: Path


@pytest.fixture(scope="module")
def demo(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    warehouse = tmp_path_factory.mktemp("demo") / "warehouse"
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^demo:.*\n\t\$\(SPARK\) (.*)$", makefile, re.MULTILINE)
    assert found is not None
    arguments = found.group(1).replace('"$(WAREHOUSE)"', str(warehouse)).split()
    submit = Path(sys.executable).parent / "spark-submit"
    done = subprocess.run(
        [str(submit), "--properties-file", "conf/spark-local.conf", *arguments],
        cwd=repository,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_SUBMIT_OPTS": QUICK_JVM},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Demo(out=done.stdout + done.stderr, warehouse=warehouse)


def rows(spark: SparkSession, demo: Demo, table: str) -> list[Row]:
    return spark.read.format("delta").load(str(demo.warehouse / table)).collect()


def test_it_shows_a_document_before_and_after_counts_a_query_and_where_the_tables_are(demo: Demo) -> None:
    for part in ("Before (", "Program:", "After (", "tokens", "EDITED", "spark-sql> SELECT", "RECORD_REVISIT"):
        assert part in demo.out
    assert str(demo.warehouse / "refined") in demo.out
    assert "Traceback" not in demo.out


def test_it_shows_progress_from_the_first_stage_to_the_last(demo: Demo) -> None:
    steps = [line.split(":")[0] for line in demo.out.splitlines() if ": done in" in line]
    assert steps == ["ingest", "generate-doc", "execute"]


def test_one_pass_of_the_model_answers_both_levels(spark: SparkSession, demo: Demo) -> None:
    of_stage = {row["stage"]: row for row in rows(spark, demo, "runs")}
    programs = rows(spark, demo, "programs")
    chunks = [row for row in programs if row["stage"] == "chunk"]
    assert {row["run_id"] for row in programs} == {of_stage["execute"]["run_id"]}
    assert of_stage["generate-chunk"]["documents"] == 0
    assert of_stage["generate-chunk"]["skipped"] > 0
    assert len(chunks) == len(programs) - len(chunks) == of_stage["generate-doc"]["documents"]
    assert sum(row["prompt_tokens"] for row in chunks) == 0
    assert all(len(row["line_margins"]) == row["line_count"] for row in chunks)
    assert len({row["template_hash"] for row in programs}) == 2


def test_every_record_is_a_document_or_a_reject(spark: SparkSession, demo: Demo) -> None:
    refined, rejects = rows(spark, demo, "refined"), rows(spark, demo, "rejects")
    assert len(refined) >= 30
    assert len(refined) == len({row["doc_id"] for row in refined})
    assert Counter(row["code"] for row in rejects) == {
        "RECORD_HTTP_STATUS": 1,
        "RECORD_NOT_TEXT": 1,
        "RECORD_REVISIT": 1,
    }


def test_the_refined_pages_are_closer_to_what_a_person_keeps(spark: SparkSession, demo: Demo, repository: Path) -> None:
    labels = [json.loads(line) for line in (repository / "examples" / "expected.jsonl").open(encoding="utf-8")]
    texts = {row["url"]: row["text"] for row in rows(spark, demo, "documents")}
    programs = {row["url"]: row for row in rows(spark, demo, "refined")}
    ours, keeping = [], []
    for label in labels:
        row = programs[label["url"]]
        if not label["keep"] or row["outcome"] == "DROPPED":
            continue
        lines = texts[label["url"]].split("\n")
        gold = [bool(keep) for keep in label["keep_lines"]]
        kept = Counter((row["text"] or "").split("\n"))
        flags = []
        for line in lines:
            flags.append(kept[line] > 0)
            kept[line] -= 1
        ours.append(score_page(lines, gold, flags).words.f1)
        keeping.append(score_page(lines, gold, [True] * len(lines)).words.f1)
    assert len(ours) >= 20
    assert mean(ours) > mean(keeping)


def test_most_pages_worth_keeping_are_kept(spark: SparkSession, demo: Demo, repository: Path) -> None:
    labels = [json.loads(line) for line in (repository / "examples" / "expected.jsonl").open(encoding="utf-8")]
    outcome = {row["url"]: row["outcome"] for row in rows(spark, demo, "refined")}
    good = [label["url"] for label in labels if label["keep"]]
    assert sum(outcome[url] != "DROPPED" for url in good) >= 0.8 * len(good)


def test_the_same_pages_as_wet_give_the_same_documents(
    spark: SparkSession, demo: Demo, repository: Path, tmp_path: Path
) -> None:
    source = repository / "examples" / "pages.warc.wet.gz"
    pipe = pipeline(tmp_path / "w", source, format="wet")
    pipe.ingest()
    from_wet = {row["url"]: row["text"] for row in pipe.warehouse.read("documents").collect()}
    from_warc = {row["url"]: row["text"] for row in rows(spark, demo, "documents")}
    assert from_wet == from_warc
