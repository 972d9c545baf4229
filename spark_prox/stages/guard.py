"""The guard rails of a run: what each batch did is counted while it is stored, and a run that drifts is stopped.

`spark_prox.config.guard` decides; this counts, remembers what earlier runs did, and leaves the counts for later ones in
`runs.guard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import functions as F

from spark_prox.config.guard import BatchCounts, GuardConfig, verdict
from spark_prox.documents import LEVELS
from spark_prox.filters import FILTERED
from spark_prox.functions import PandasFunction
from spark_prox.keys import ProgramKey
from spark_prox.programs.also_remove import FILTER_CHUNK
from spark_prox.spark.counting import count_rows
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.quarantine import FAILED
from spark_prox.stages.stored import with_stage_programs
from spark_prox.warehouse.tables import Warehouse

__all__ = ["PROGRAM_COUNTS", "REFINED_COUNTS", "RunGuard"]

_RUNS_REMEMBERED = 50

_FAILED = "status NOT IN ('OK', 'LINE_TOO_LONG', 'TOO_MANY_CHUNKS')"

PROGRAM_COUNTS = {
    "programs": "count(*)",
    "failed": f"count_if({_FAILED})",
    "prompt_tokens": "coalesce(sum(prompt_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    **{
        f"{name}_{level}": f"count_if(stage = '{level}' AND {condition})"
        for level in LEVELS
        for name, condition in {
            "documents": "chunk_index <= 0",
            "tried": "true",
            "failed": _FAILED,
        }.items()
    },
}
"""What is counted of rows of `programs` while they are stored: some of all rows, some of those of each level."""

_BY_FILTER = (
    f"coalesce(aggregate(filter(edits, e -> e.chunk = {FILTER_CHUNK}), 0L, (n, e) -> n + length(e.removed)), 0L)"
)
REFINED_COUNTS = {
    # What filters drop, and lines that they remove, say nothing about a model.
    "documents": f"count_if(doc_reason <> '{FILTERED}')",
    "dropped": f"count_if(outcome = 'DROPPED' AND doc_reason <> '{FILTERED}')",
    "failed": "count_if(outcome IN ('FAILED', 'REFUSED'))",
    "quarantined": f"count_if({FAILED})",
    "chars_before": f"coalesce(sum(CASE WHEN outcome <> 'DROPPED' THEN chars_before - {_BY_FILTER} END), 0)",
    "chars_after": "coalesce(sum(CASE WHEN outcome <> 'DROPPED' THEN chars_after END), 0)",
    "tokens_before": "coalesce(sum(tokens_before), 0)",
    "tokens_after": "coalesce(sum(tokens_after), 0)",
}
"""What is counted of rows of `refined` while they are stored."""


class RunGuard:
    """Watches one run.

    Args:
        decide: over the document level's programs; gives the documents that are kept.
        settings: hash of models and policy; runs with the same one are compared.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        limits: GuardConfig,
        *,
        run_id: str,
        settings: str,
        decide: PandasFunction,
    ) -> None:
        self._warehouse = warehouse
        self.limits = limits
        self._run_id = run_id
        self._settings = settings
        self._decide = decide
        self._windows: dict[str, BatchCounts] = {}
        self._histories: dict[str, BatchCounts] = {}

    def programs(self, key: ProgramKey, since: datetime, counts: Mapping[str, int], figures: StageFigures) -> None:
        """Judge the programs that this run stored since a time.

        Args:
            counts: of `PROGRAM_COUNTS`.

        Raises:
            GuardError: GUARD_FAILURE_RATIO; GUARD_KEEP_RATE in the document stage.
        """
        if not self.limits.enabled:
            return
        documents, judged, kept = counts[f"documents_{key.stage}"], 0, 0
        if key.stage == "doc":
            judged = documents
            # The time selects this batch's files by their statistics.
            stored = with_stage_programs(self._warehouse, key).where(
                (F.col("run_id") == self._run_id) & (F.col("generated_at") >= F.lit(since))
            )
            columns = stored.select("doc_id", "doc_hash", "bucket", "program", "status", "margin")
            kept = count_rows(columns.mapInPandas(self._decide, self._decide.columns), {"kept": "count(*)"})["kept"]
            figures.add_verdicts(judged, kept)
        batch = BatchCounts(
            documents=documents,
            judged=judged,
            kept=kept,
            tried=counts[f"tried_{key.stage}"],
            failed=counts[f"failed_{key.stage}"],
        )
        self._judge(f"generate-{key.stage}", batch, figures)

    def refined(self, counts: Mapping[str, int], figures: StageFigures) -> None:
        """Judge rows of `refined`: stored ones, or such that are about to be.

        Args:
            counts: of `REFINED_COUNTS`.

        Raises:
            GuardError: GUARD_FAILURE_RATIO, GUARD_KEEP_RATE, GUARD_REMOVED_SHARE.
        """
        if not self.limits.enabled:
            return
        documents = counts["documents"]
        batch = BatchCounts(
            documents=documents,
            judged=documents,
            kept=documents - counts["dropped"],
            tried=documents,
            failed=counts["failed"],
            chars_before=counts["chars_before"],
            chars_after=counts["chars_after"],
        )
        self._judge("execute", batch, figures)

    def _judge(self, stage: str, counts: BatchCounts, figures: StageFigures) -> None:
        figures.guard = (BatchCounts.of(figures.guard) + counts).figures()
        window = self._windows.get(stage, BatchCounts()) + counts
        if window.documents < self.limits.min_documents:
            self._windows[stage] = window
            return
        self._windows[stage] = BatchCounts()
        error = verdict(stage, self._run_id, window, self._history(stage), self.limits)
        if error is not None:
            raise error

    def _history(self, stage: str) -> BatchCounts:
        """The counts of the last runs of a stage under the same settings; runs that failed do not count."""
        if not self.limits.history:
            return BatchCounts()
        if stage not in self._histories:
            runs = self._warehouse.read("runs") if self._warehouse.exists("runs") else None
            total = BatchCounts()
            if runs is not None:
                mine = (
                    (F.col("stage") == stage)
                    & (F.col("settings_hash") == self._settings)
                    & (F.col("status") == "DONE")
                    & (F.col("run_id") != self._run_id)
                    & F.col("guard").isNotNull()
                )
                last = runs.where(mine).orderBy(F.desc("started_at")).limit(_RUNS_REMEMBERED).select("guard")
                total = sum((BatchCounts.of(row["guard"]) for row in last.collect()), total)
            self._histories[stage] = total
        return self._histories[stage]
