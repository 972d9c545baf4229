"""A run over one warehouse: its stages, in order.

Everything that can be wrong with configuration, models, input and tables is found before the first write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.run import RunConfig
from spark_prox.documents import Level
from spark_prox.filters import filter_hashes
from spark_prox.functions import Functions
from spark_prox.sources.frames.delta_stream import open_stream
from spark_prox.sources.frames.raw import table_snapshot
from spark_prox.spark.model_stores import share_stores
from spark_prox.spark.progress import announce
from spark_prox.spark.session import build_session
from spark_prox.spark.shipping import check_executors, is_local, ship_code
from spark_prox.stages.annotate import Annotate
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.exact_duplicates import ExactDuplicates
from spark_prox.stages.execute import Execute
from spark_prox.stages.generate import Generate
from spark_prox.stages.guard import RunGuard
from spark_prox.stages.incremental import backlog, checkpoint_folder, run_micro_batches, version_of_batch
from spark_prox.stages.ingest import Ingest, input_spec, input_with_snapshot
from spark_prox.stages.near_duplicates import NearDuplicates
from spark_prox.stages.removal import forget_source, lost_documents
from spark_prox.stages.repeated_lines import RepeatedLines
from spark_prox.stages.runlog import RunLog, new_run_id
from spark_prox.stages.text_filters import Language, Rules
from spark_prox.warehouse.tables import Warehouse
from spark_prox.writers import needs_store, policy_of, settings_hash, writer_of, writers_of

__all__ = ["ANNOTATION", "FILTERS", "STAGES", "Pipeline"]

FILTERS: tuple[Stage, ...] = (
    ExactDuplicates(),  #  documents                       -> verdicts: one of those with an address or a text
    Language(),  #         documents that are left         -> verdicts: those in a wanted language
    Rules(),  #            documents that are left         -> verdicts: those that break no published rule
    NearDuplicates(),  #   documents that are left         -> verdicts: one of those with nearly the same words
    RepeatedLines(),  #    documents that are left         -> verdicts: programs that remove what their host repeats
)
"""Stages before the model, see docs/filters.md: each is off by default."""

STAGES: tuple[Stage, ...] = (
    Ingest(),  #           the input                       -> documents, rejects
    *FILTERS,
    Generate("doc"),  #    documents                       -> programs: keep or drop
    Generate("chunk"),  #  documents that are kept         -> programs: edits
    Execute(),  #          documents and their programs    -> refined, rejects
)
"""A run, from the first stage to the last. A new stage is one file in `spark_prox.stages` and one line here."""

ANNOTATION: tuple[Stage, ...] = (
    Ingest(),  #           the input                       -> documents, rejects
    Annotate("doc"),  #    documents                       -> annotations: labels of whole documents
    Annotate("chunk"),  #  documents                       -> annotations: labels of lines
)
"""The run of jobs/annotate.py, in which no refiner takes part."""


class Pipeline:
    """The stages of one run, over what they share.

    Args:
        config: the whole configuration.
        functions: what runs on executors.
        name: the job's name, for Spark's web interface.
        writes: False for a run that only counts.
        stages: what the run consists of.

    Raises:
        ProxError: the configuration, a model, the environment or the warehouse is wrong.
    """

    def __init__(
        self,
        config: RunConfig,
        functions: Functions,
        *,
        name: str,
        writes: bool = True,
        stages: Sequence[Stage] = STAGES,
    ) -> None:
        self._name = name
        self._phases = 0
        self.stages = stages
        early = _session(config, name) if needs_store(config) else None
        if early is not None:
            share_stores(early)
        for stage in stages:
            stage.check(config)
        writers = writers_of(config)
        keys = {level: writer.key() for level, writer in writers.items()}
        policy, settings = policy_of(config), settings_hash(config)
        spark = early or _session(config, name)
        warehouse = Warehouse(spark, config.warehouse)
        if writes:
            warehouse.check_writable()
        log = RunLog(spark, warehouse, config, new_run_id(), keys=keys.values(), policy=policy)
        decide = functions.decide_documents(policy=policy, dialect=config.dialect)
        self.run = Run(
            spark=spark,
            warehouse=warehouse,
            config=config,
            functions=functions,
            policy=policy,
            writers=writers,
            keys=keys,
            tokenizer=writer_of(config, "chunk").tokenizer,
            filters=filter_hashes(config.filters),
            settings=settings,
            log=log,
            guard=RunGuard(warehouse, config.guard, run_id=log.run_id, settings=settings, decide=decide),
            decide=decide,
            written=tuple(dict.fromkeys(table for stage in (*STAGES, *ANNOTATION, *stages) for table in stage.writes)),
        )
        if self._needs("engine"):
            _ = self.run.profile  # what no task could get is an error now

    @property
    def spark(self) -> SparkSession:
        """The session."""
        return self.run.spark

    @property
    def warehouse(self) -> Warehouse:
        """The tables."""
        return self.run.warehouse

    @property
    def settings(self) -> str:
        """Hash of everything besides the document that decides a row of `refined`."""
        return self.run.settings

    @property
    def log(self) -> RunLog:
        """Writes `runs`."""
        return self.run.log

    def begin(self) -> None:
        """Before the first write: take the lease, check and migrate the tables, delete leftovers.

        Every method that writes calls it; only the first call of a process does something.

        Raises:
            TableError: WAREHOUSE_BUSY, TABLE_NEWER, TABLE_SCHEMA, MIGRATION_FAILED.
        """
        for migration in self.warehouse.open_for_writing(self.run.config.lease, f"{self._name} {self.log.run_id}"):
            announce(f"migrated: {migration}")

    @contextmanager
    def phase(self) -> Iterator[None]:
        """Around stages: begins, and stores at their end what all of them together store once. May be nested."""
        self.begin()
        self._phases += 1
        try:
            yield
        finally:
            self._phases -= 1
        if not self._phases:
            self.warehouse.create_expected()
            self.log.flush()
            self.log.close()

    def check_executors(self) -> None:
        """Prove that executors run this code; a local session needs no proof."""
        if not is_local(self.spark):
            check_executors(self.spark)

    def refine(self) -> None:
        """All stages in order; what is stored already is not done again."""
        self._go(self.stages)

    def ingest(self) -> None:
        """The stages that read the input."""
        self._go([stage for stage in self.stages if "input" in stage.needs])

    def advance(self, only: DataFrame | None = None) -> None:
        """The stages that work on tables, for the documents of `only` (doc_id) or for all."""
        self._go([stage for stage in self.stages if "input" not in stage.needs], only)

    def generate(self, level: Level, only: DataFrame | None = None) -> None:
        """Generate the missing programs of one level, of what filters leave; does nothing when it is off."""
        self._go([*FILTERS, Generate(level)], only)

    def execute(self, only: DataFrame | None = None) -> None:
        """Decide the missing verdicts and apply the stored programs, of the documents of `only` or of all."""
        self._go([*FILTERS, Execute()], only)

    def retry(self, codes: tuple[str, ...], stages: Sequence[Stage] | None = None) -> int:
        """Do again what failed with one of the codes; gives the number of documents that were asked about again.

        Args:
            stages: those to do again; None for all.
        """
        with self.phase():
            return sum(stage.retry(self.run, codes) for stage in (self.stages if stages is None else stages))

    def refine_new(self) -> int:
        """Refine what is new in a Delta source since the last run; then whatever else is not done.

        Returns:
            The number of micro-batches.

        Raises:
            InputError: INPUT_NOT_FOUND, WRONG_FORMAT, SOURCE_CHANGED, SOURCE_SCHEMA, SOURCE_HISTORY, SOURCE_REPLACED.
            ConfigError: CHECKPOINT_UNKNOWN.
        """
        source = open_stream(self.spark, input_spec(self.run))
        snapshot = table_snapshot(self.spark, input_spec(self.run))
        checkpoint = checkpoint_folder(self.spark, self.warehouse, source)
        self.begin()

        def refine(frame: DataFrame, number: int) -> None:
            announce(f"micro-batch {number}")
            started = datetime.now(timezone.utc)
            if number == 0 and (gone := forget_source(self.run, source)):
                announce(f"{gone:,} documents removed, which the source has no more")
            micro_batch = f"{source.key}/{number}"
            with self.phase():
                rows = source.rows(frame)
                read = snapshot
                if not source.spec.copy_text:
                    read = replace(snapshot, version=version_of_batch(self.spark, checkpoint, number))
                Ingest().store(self.run, rows, snapshot=read, micro_batch=micro_batch, is_feed=source.has_feed)
                arrived = (F.col("ingested_by") == self.log.run_id) & (F.col("ingested_at") >= F.lit(started))
                self.advance(self.warehouse.read("documents").where(arrived).select("doc_id"))

        batches = run_micro_batches(source, checkpoint, refine)
        if self.warehouse.exists("documents"):
            self.advance()  # other settings than before, or what a killed run left
        return batches

    def dry_run(self, *, reads_input: bool) -> DryRun:
        """Collect what `plan` and `plan_retry` need; writes nothing."""
        self.warehouse.check_schemas()
        if not reads_input:
            return DryRun(self.run)
        spec, gone = input_spec(self.run), None
        arriving, _ = input_with_snapshot(self.run)
        if spec.incremental:
            source = open_stream(self.spark, spec)
            announce(backlog(self.spark, source, checkpoint_folder(self.spark, self.warehouse, source)))
            gone = lost_documents(self.warehouse, source)
        return DryRun(self.run, arriving, gone)

    def plan(self, codes: tuple[str, ...] = ()) -> list[PlannedStage]:
        """Plan the run, or its retry of some codes."""
        dry = self.dry_run(reads_input=not codes)
        plans = (stage.plan_retry(dry, codes) if codes else stage.plan(dry) for stage in self.stages)
        return [line for plan in plans for line in plan]

    def _go(self, stages: Sequence[Stage], only: DataFrame | None = None) -> None:
        if any("input" in stage.needs for stage in stages):
            input_spec(self.run)
        with self.phase():
            for stage in stages:
                stage.run(self.run, only)

    def _needs(self, need: str) -> bool:
        return any(need in stage.needs for stage in self.stages)


def _session(config: RunConfig, name: str) -> SparkSession:
    placement = config.placement
    announce("starting Spark ...")
    spark = build_session(
        name,
        arrow_batch_rows=placement.arrow_batch_rows,
        arrow_batch_bytes=placement.arrow_batch_bytes,
        extra=config.spark,
    )
    ship_code(spark)
    return spark
