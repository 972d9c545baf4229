"""The guard rails of a run: what each portion did is counted from the tables, and a run that drifts is stopped.

`spark_prox.config.guard` decides; this counts, remembers what earlier runs did, and leaves the counts for later ones in
`runs.guard`.
"""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.config.guard import Counts, GuardConfig, verdict
from spark_prox.keys import StageKey
from spark_prox.stages.generate import PandasFunction, with_stage_programs
from spark_prox.stages.runlog import StageFigures
from spark_prox.warehouse.tables import Warehouse

__all__ = ["RunGuard"]

_RUNS_REMEMBERED = 50


class RunGuard:
    """Watches one run.

    Args:
        decide, decision_columns: for `mapInPandas` over document programs: gives the kept ones.
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
        decision_columns: str,
    ) -> None:
        self._warehouse = warehouse
        self.limits = limits
        self._run_id = run_id
        self._settings = settings
        self._decide = decide
        self._decision_columns = decision_columns
        self._windows: dict[str, Counts] = {}
        self._histories: dict[str, Counts] = {}

    def programs(self, key: StageKey, since: datetime, figures: StageFigures) -> None:
        """Judge the programs that this run stored since a time.

        Raises:
            GuardError: GUARD_FAILURE_RATIO; GUARD_KEEP_RATE in the document stage.
        """
        if not self.limits.enabled:
            return
        # The time selects this portion's files by their statistics.
        stored = with_stage_programs(self._warehouse, key).where(
            (F.col("run_id") == self._run_id) & (F.col("generated_at") >= F.lit(since))
        )
        documents, tried, failed = _totals(
            stored,
            F.count_if(F.col("chunk_index") <= 0),
            F.count("*"),
            F.count_if(~F.col("status").isin("OK", "LINE_TOO_LONG", "TOO_MANY_CHUNKS")),
        )
        judged = kept = 0
        if key.stage == "doc":
            judged = documents
            columns = stored.select("doc_id", "doc_hash", "program", "status", "margin")
            kept = columns.mapInPandas(self._decide, self._decision_columns).count()
        counts = Counts(documents=documents, judged=judged, kept=kept, tried=tried, failed=failed)
        self._judge(f"generate-{key.stage}", counts, figures)

    def refined(self, rows: DataFrame, figures: StageFigures) -> None:
        """Judge rows of `refined`: stored ones, or such that are about to be.

        Raises:
            GuardError: GUARD_FAILURE_RATIO, GUARD_KEEP_RATE, GUARD_REMOVED_SHARE.
        """
        if not self.limits.enabled:
            return
        dropped = F.col("outcome") == "DROPPED"
        documents, lost, failed, before, after = _totals(
            rows,
            F.count("*"),
            F.count_if(dropped),
            F.count_if(F.col("outcome").isin("FAILED", "REFUSED")),
            F.sum(F.when(~dropped, F.col("chars_before"))),
            F.sum(F.when(~dropped, F.col("chars_after"))),
        )
        counts = Counts(
            documents=documents,
            judged=documents,
            kept=documents - lost,
            tried=documents,
            failed=failed,
            chars_before=before,
            chars_after=after,
        )
        self._judge("execute", counts, figures)

    def _judge(self, stage: str, counts: Counts, figures: StageFigures) -> None:
        figures.guard = (Counts.of(figures.guard) + counts).figures()
        window = self._windows.get(stage, Counts()) + counts
        if window.documents < self.limits.min_documents:
            self._windows[stage] = window
            return
        self._windows[stage] = Counts()
        error = verdict(stage, self._run_id, window, self._history(stage), self.limits)
        if error is not None:
            raise error

    def _history(self, stage: str) -> Counts:
        """What the last runs did in a stage under the same settings; runs that failed do not count."""
        if not self.limits.history:
            return Counts()
        if stage not in self._histories:
            runs = self._warehouse.read("runs") if self._warehouse.exists("runs") else None
            total = Counts()
            if runs is not None:
                mine = (
                    (F.col("stage") == stage)
                    & (F.col("settings_hash") == self._settings)
                    & (F.col("status") == "DONE")
                    & (F.col("run_id") != self._run_id)
                    & F.col("guard").isNotNull()
                )
                last = runs.where(mine).orderBy(F.desc("started_at")).limit(_RUNS_REMEMBERED).select("guard")
                total = sum((Counts.of(row["guard"]) for row in last.collect()), total)
            self._histories[stage] = total
        return self._histories[stage]


def _totals(rows: DataFrame, *columns: Column) -> list[int]:
    row = rows.agg(*(F.coalesce(column, F.lit(0)) for column in columns)).first()
    assert row is not None
    return [int(value) for value in row]
