"""A new stage is one class and one line of a list. Spark runs, because a stage gets a session and a warehouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.config.run import RunConfig, load_config
from spark_prox.pipeline import ANNOTATION, STAGES, Pipeline
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.warehouse.schemas import TABLES
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass
class Probe(Stage):
    """A stage of a test: it stores one reject."""

    name = "probe"
    writes = ("rejects",)
    asked: list[str] = field(default_factory=list)

    def check(self, config: RunConfig) -> None:
        self.asked.append("check")

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        self.asked.append("run")
        with run.log.stage(self.name, "s") as figures:
            run.warehouse.expect("rejects")
            row = {"reject_id": run.log.run_id, "code": "PROBE", "stage": "probe"}
            run.warehouse.append("rejects", run.spark.createDataFrame([row]))
            figures.rejects = 1

    def retry(self, run: Run, codes: tuple[str, ...]) -> int:
        self.asked.append("retry")
        return 3

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        return [PlannedStage(stage=self.name, documents=7)]


def test_a_run_a_retry_and_a_dry_run_ask_every_stage_of_the_list(spark: SparkSession, tmp_path: Path) -> None:
    probe = Probe()
    config = load_config(None, ["model.engine=scripted"], {"warehouse": str(tmp_path / "w"), "input.path": "x"})
    pipe = Pipeline(config, FUNCTIONS, name="test", stages=[probe])
    pipe.refine()
    assert pipe.retry(("FAILED",)) == 3
    assert probe.asked == ["check", "run", "retry"]
    assert [(row["reject_id"], row["code"]) for row in pipe.warehouse.read("rejects").collect()] == [
        (pipe.log.run_id, "PROBE")
    ]
    (row,) = pipe.warehouse.read("runs").collect()
    assert (row["stage"], row["status"], row["rejects"]) == ("probe", "DONE", 1)
    dry = DryRun(pipe.run)
    assert [line.documents for stage in pipe.stages for line in stage.plan(dry)] == [7]


def test_stages_say_what_they_read_and_write() -> None:
    for stage in (*STAGES, *ANNOTATION):
        assert {*stage.reads, *stage.writes} <= set(TABLES)
        assert stage.writes
    names = [stage.name for stage in STAGES]
    assert names == [
        "ingest",
        "exact-duplicates",
        "language",
        "rules",
        "near-duplicates",
        "repeated-lines",
        "generate-doc",
        "generate-chunk",
        "execute",
    ]
    before: set[str] = set()
    for stage in STAGES:
        assert set(stage.reads) <= before | set(stage.writes), f"{stage.name} reads what nobody wrote"
        before |= set(stage.writes)


def test_tables_of_documents_are_those_that_removal_goes_through() -> None:
    written = {table for stage in (*STAGES, *ANNOTATION) for table in stage.writes}
    assert {name for name, spec in TABLES.items() if spec.of_document} <= written
    with_ids = {name for name, spec in TABLES.items() if "doc_id" in spec.schema.fieldNames()}
    assert with_ids == {name for name, spec in TABLES.items() if spec.of_document}
