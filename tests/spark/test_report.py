"""The report of a finished run. It needs Spark: figures, samples and comparisons are queries over Delta tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.errors import ConfigError
from spark_prox.report.applied import applied_settings
from spark_prox.report.collect import ReportOptions, collect_report
from spark_prox.report.comparing import policy_named
from spark_prox.report.decisions import decide_story
from spark_prox.report.story import load_stories
from spark_prox.warehouse.tables import Warehouse
from tests.spark import runs
from tests.spark.conftest import Finished
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_report_says_what_the_tables_say(spark: SparkSession, finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.html"
    wipes = "max_removed_of_document=0.0"
    assert runs.run_job("report", "--warehouse", str(finished.warehouse), "--out", str(out), "--against", wipes) == 0
    page = out.read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    found = re.search(r'id="document-data">(.*?)</script>', page)
    assert found is not None
    documents = {one["id"]: one for one in json.loads(found.group(1))}
    assert {*finished.refined} < {*documents}
    for doc_id, row in finished.refined.items():
        one = documents[doc_id]
        assert (one["outcome"], one["words"]) == (row["outcome"], [row["words_before"], row["words_after"]])
        assert sum(last - first + 1 for first, last in one["removed"]) == row["lines_before"] - row["lines_after"]
        assert one["other"]["outcome"] == "REFUSED"
    assert documents["long"]["reject"]["code"] == "LINE_TOO_LONG"
    assert "Home | About | Contact 3" in page


@pytest.mark.slow
def test_a_report_is_reproducible_knows_its_settings_and_compares_with_a_run(
    spark: SparkSession, finished: Finished
) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    applied = applied_settings(warehouse)
    assert (applied.policy_is_known, applied.keys_are_known, {*applied.keys}) == (True, True, {"doc", "chunk"})
    options = ReportOptions(documents=8, seed=5, against=finished.run_id, functions=FUNCTIONS)
    report, _ = collect_report(spark, warehouse, options)
    again, _ = collect_report(spark, warehouse, ReportOptions(documents=8, seed=5))
    other, _ = collect_report(spark, warehouse, ReportOptions(documents=8, seed=6))
    chosen = [[one.story.doc_id for one in each.documents] for each in (report, again, other)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert sum(row.documents for row in report.flow.outcomes) == len(finished.refined)
    assert report.flow.quarantined == 1
    assert report.removed_lines[0].text == "Home | About | Contact 0"
    assert {row.value for row in report.groups["host"]} == {f"h{n}.example" for n in range(3)}
    assert report.comparison is not None
    assert [row.text_differs for row in report.comparison.transitions] == [0] * len(report.comparison.transitions)
    with pytest.raises(ConfigError, match="AGAINST_UNKNOWN"):
        collect_report(spark, warehouse, ReportOptions(against="nothing", functions=FUNCTIONS))


def test_a_story_executes_to_the_row_that_is_stored(spark: SparkSession, finished: Finished) -> None:
    warehouse = Warehouse(spark, str(finished.warehouse))
    applied = applied_settings(warehouse)
    stories = load_stories(spark, warehouse, [*finished.refined, "nobody"])
    assert [story.doc_id for story in stories] == [*finished.refined]
    for story in stories:
        decisions = decide_story(story, applied.keys, policy=applied.policy, dialect=applied.dialect)
        row = finished.refined[story.doc_id]
        assert (decisions.row.text, decisions.row.reason) == (row["text"], row["reason"])
        assert story.refined is not None
        assert story.refined.edits == decisions.row.edits
        assert story.own["n"] == str(row["n"])
        assert "applied" in {call.status for call in decisions.calls if call.level == "chunk"}


def test_a_command_line_names_policies() -> None:
    applied = policy_named("default,min_remove_margin=2", policy_named("compat", None))  # type: ignore[arg-type]
    assert applied is not None
    assert (applied.min_remove_margin, applied.reader) == (2, "grammar")
    changed = policy_named("min_words_after=3,when_wiped=drop", applied)
    assert changed is not None
    assert (changed.min_remove_margin, changed.min_words_after, changed.when_wiped) == (2, 3, "drop")
    assert policy_named("20260101T000000Z-abcd", applied) is None
    with pytest.raises(ConfigError, match="POLICY_UNKNOWN_FIELD"):
        policy_named("min_margin=3", applied)
