"""A stage, and the run that all stages of a job share.

A stage is one file with a subclass of `Stage`, and one line in `spark_prox.pipeline.STAGES`. Everything that goes over
all stages (a run, a retry, a dry run, the removal of documents) walks that list and asks each stage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.run import RunConfig
from spark_prox.documents import Level
from spark_prox.functions import Functions, PandasFunction
from spark_prox.keys import ProgramKey
from spark_prox.programs import Policy
from spark_prox.spark.placement import generation_profile, portion_documents
from spark_prox.stages.guard import RunGuard
from spark_prox.stages.runlog import RunLog
from spark_prox.warehouse.tables import Warehouse
from spark_prox.writers import Writer, one_pass

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

    from spark_prox.stages.dry_run import DryRun, PlannedStage

__all__ = ["Need", "Run", "Stage"]

Need = Literal["input", "engine"]
"""What a stage needs besides tables: `input` in the configuration; the writer of its level on the executors."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run over one warehouse.

    Attributes:
        writers: of the levels that are on.
        keys: of those writers: which stored programs count.
        tokenizer: the model whose tokenizer counts the text before and after: the chunk level's, on or off.
        filters: hashes of the filters that are on, in their order: which stored verdicts count.
        settings: hash of everything besides the document that decides a row of `refined`.
        decide: over the document level's programs; gives the documents that are kept.
        written: the tables that stages write, in the order of the stages; documents leave them in the opposite order.
    """

    spark: SparkSession
    warehouse: Warehouse
    config: RunConfig
    functions: Functions
    policy: Policy
    writers: Mapping[Level, Writer]
    keys: Mapping[Level, ProgramKey]
    tokenizer: str
    filters: Mapping[str, str]
    settings: str
    log: RunLog
    guard: RunGuard
    decide: PandasFunction
    written: tuple[str, ...]

    @cached_property
    def one_pass(self) -> bool:
        """True if the document level also writes the chunk level's programs, see `spark_prox.writers.one_pass`."""
        return one_pass(self.writers)

    @cached_property
    def profile(self) -> ResourceProfile | None:
        """Resources of one task that asks an engine; errors as in `generation_profile`."""
        return generation_profile(self.spark, self.config.placement)

    @cached_property
    def portion_documents(self) -> int:
        """Documents that a stage stores in one commit."""
        return portion_documents(self.spark, self.config.placement)


class Stage(ABC):
    """One step of a run: DataFrames in, Delta commits out.

    Attributes:
        name: what `runs.stage` says.
        reads, writes: tables, besides `runs`.
        needs: what must be there besides tables.
    """

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()

    def check(self, config: RunConfig) -> None:  # noqa: B027 - most stages have nothing to check
        """Find what is wrong with its part of the configuration, before Spark starts.

        Raises:
            ProxError: what is wrong.
        """

    @abstractmethod
    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """Do what is missing; what is stored already is not done again.

        Args:
            only: (doc_id) of the documents to look at; None for all.
        """

    def retry(self, run: Run, codes: tuple[str, ...]) -> int:
        """Do again what failed with one of the codes, or what depends on that; gives the number of documents asked."""
        return 0

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """Plan `run`. Tells `dry` what it would leave to the next stage."""
        return []

    def plan_retry(self, dry: DryRun, codes: tuple[str, ...]) -> list[PlannedStage]:
        """Plan `retry`."""
        return []
