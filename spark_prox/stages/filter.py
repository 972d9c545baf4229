"""A filter: a stage that gives documents a verdict before a model sees them, each a row of `verdicts` with its reason.

A filter looks at the documents that those before it keep and that have no verdict under its settings. A filter that is
off costs nothing. Knows which documents are looked at and how verdicts are stored; subclasses decide.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.config.guard import BatchCounts
from spark_prox.spark.counting import count_rows, observed
from spark_prox.spark.progress import announce
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.verdicts import hashes_before, used_verdicts, without_dropped
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import VERDICTS
from spark_prox.warehouse.tables import Warehouse

__all__ = ["Filter"]

_COUNTS = {"documents": "count(*)", "dropped": "count_if(verdict = 'drop')"}
_WORK_COUNTS = {
    "new": "count_if(done IS NULL)",
    "done": "count_if(done)",
    "stored": "count_if(done IS NULL AND stored)",
}


class Filter(Stage):
    """Documents get a verdict: keep or drop, with a reason."""

    reads = ("documents", "verdicts")
    writes = ("verdicts",)

    @abstractmethod
    def decide(self, run: Run, work: DataFrame, figures: StageFigures) -> None:
        """Store verdicts with `store`.

        Args:
            work: (doc_id, doc_hash, bucket, done, stored), computed once: the documents that the filters before keep.
                Those whose `done` is null are to be decided.
            figures: `documents` is how many are to be decided.
        """

    def work(self, run: Run, only: DataFrame | None) -> DataFrame:
        """The rows that `decide` gets."""
        documents = run.warehouse.read("documents").select("doc_id", "doc_hash", "bucket")
        return self._work(run.warehouse, run.filters, documents, only)

    def marked(self, warehouse: Warehouse, hashes: Mapping[str, str], documents: DataFrame) -> DataFrame:
        """Documents (doc_id, doc_hash, ...) with `done` and `stored`.

        `done`: the document has a verdict that holds. `stored`: it has one, of any settings and text.
        """
        stored = warehouse.read("verdicts").where(F.col("stage") == self.name)
        under = F.col("settings_hash") == hashes[self.name]
        known = stored.select("doc_id", F.when(under, F.col("doc_hash")).alias("decided"), F.lit(True).alias("stored"))
        done = F.when(F.col("decided") == F.col("doc_hash"), F.lit(True)).alias("done")
        return documents.join(known, "doc_id", "left").select(*documents.columns, done, "stored")

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """See `Stage`; does nothing when the filter is off."""
        if self.name not in run.filters:
            return
        with run.log.stage(self.name, run.filters[self.name]) as figures:
            run.warehouse.expect("verdicts")
            with decided_once(self.work(run, only)) as work:
                counts = count_rows(work, _WORK_COUNTS)
                figures.planned, figures.skipped = counts["new"], counts["done"]
                figures.guard = BatchCounts().figures()
                if counts["new"]:
                    self.decide(run, work, figures)
                    figures.documents = figures.planned
                    done = BatchCounts.of(figures.guard)
                    announce(f"{self.name}: {done.judged - done.kept:,} of {done.judged:,} documents dropped")

    def store(
        self,
        run: Run,
        rows: DataFrame,
        figures: StageFigures,
        progress: AbstractContextManager[object],
        *,
        replace: bool,
    ) -> None:
        """Store verdicts in one commit.

        Args:
            rows: (doc_id, doc_hash, verdict), and those of the other columns that the filter knows.
            replace: documents among them may have a verdict of this filter, of other settings or another text.
        """
        constants: dict[str, Column] = {
            "stage": F.lit(self.name),
            "settings_hash": F.lit(run.filters[self.name]),
            "run_id": F.lit(run.log.run_id),
        }
        if "decided_at" not in rows.columns:
            constants["decided_at"] = F.current_timestamp()
        unknown = [field for field in VERDICTS.schema.fields if field.name not in {*rows.columns, *constants}]
        filled = rows.withColumns({field.name: F.lit(None).cast(field.dataType) for field in unknown} | constants)
        watched, counted = observed(filled.select(*VERDICTS.schema.fieldNames()), _COUNTS)
        if replace:
            with run.warehouse.staged(watched, "verdicts", progress) as stored:
                run.warehouse.upsert("verdicts", stored)
        else:
            with progress:
                run.warehouse.append("verdicts", watched)
        counts = counted.get
        kept = counts["documents"] - counts["dropped"]
        portion = BatchCounts(documents=counts["documents"], judged=counts["documents"], kept=kept)
        figures.guard = (BatchCounts.of(figures.guard) + portion).figures()

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """See `Stage`: an upper bound, because what this filter would drop is not known."""
        hashes = dry.run.filters
        if self.name not in hashes:
            return []
        note = "those behind it are counted as if it kept all"
        if not dry.has("verdicts"):
            return [PlannedStage(stage=self.name, documents=dry.documents.count(), note=note)]
        pending = self._work(dry.run.warehouse, hashes, dry.documents, None).where("done IS NULL").count()
        stored = used_verdicts(dry.run.warehouse, {self.name: hashes[self.name]})
        counts = count_rows(stored, _COUNTS)
        if pending and counts["documents"]:
            share = counts["dropped"] / counts["documents"]
            note += f"; of the {counts['documents']:,} decided it dropped {share:.0%}"
        return [PlannedStage(stage=self.name, documents=pending, note=note if pending else "")]

    def _work(
        self, warehouse: Warehouse, hashes: Mapping[str, str], documents: DataFrame, only: DataFrame | None
    ) -> DataFrame:
        """Those of `documents` that the filters before keep, see `marked`."""
        if only is not None:
            documents = documents.join(only, "doc_id", "left_semi")
        candidates = without_dropped(warehouse, hashes_before(hashes, self.name), documents)
        return self.marked(warehouse, hashes, candidates)
