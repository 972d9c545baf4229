"""One run over one warehouse: checks first, then ingest, generate, execute, in the order that a job asks for.

Everything that can be wrong with configuration, models, input and tables is found before the first write.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.input import InputSpec
from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig
from spark_prox.documents import LEVELS, Level
from spark_prox.engines.worker import engine_name
from spark_prox.functions import Functions
from spark_prox.jobkit import require_input
from spark_prox.keys import (
    StageKey,
    digest,
    policy_of,
    prompt_spec,
    settings_hash,
    stage_key,
)
from spark_prox.models import EMBEDDED
from spark_prox.prompts.builder import builder_for
from spark_prox.sources.frames import read_input
from spark_prox.sources.frames.delta_stream import open_stream
from spark_prox.spark.placement import generation_partitions, generation_profile
from spark_prox.spark.progress import announce
from spark_prox.spark.session import build_session
from spark_prox.spark.shipping import check_executors, is_local, ship_code
from spark_prox.stages.dry_run import DryRun
from spark_prox.stages.execute import execute, kept_documents
from spark_prox.stages.generate import Generator, PandasFunction, generate
from spark_prox.stages.guard import RunGuard
from spark_prox.stages.incremental import backlog, checkpoint_folder, run_micro_batches
from spark_prox.stages.ingest import ingest
from spark_prox.stages.removal import forget_source, lost_documents
from spark_prox.stages.retry import retry
from spark_prox.stages.runlog import RunLog, new_run_id
from spark_prox.warehouse.tables import Warehouse

__all__ = ["Pipeline"]


class Pipeline:
    """The stages of one run.

    Args:
        config: the whole configuration.
        functions: what runs on executors.
        name: the job's name, for Spark's web interface.
        writes: False for a run that only counts.

    Raises:
        ProxError: the configuration, a model, the environment, the warehouse or a table's schema is wrong.
    """

    def __init__(self, config: RunConfig, functions: Functions, *, name: str, writes: bool = True) -> None:
        self.config = config
        self.functions = functions
        self.policy = policy_of(config)
        self._keys: dict[Level, StageKey | None] = {}
        for stage in LEVELS:
            enabled = config.stage(stage).enabled
            if enabled and config.stage_model(stage).engine != "author":
                builder_for(prompt_spec(config, stage))  # template, tokenizer and budgets fit together
            self._keys[stage] = stage_key(config, stage) if enabled else None
        self.settings = settings_hash(config)
        self.spark = self._session(name)
        self.warehouse = Warehouse(self.spark, config.warehouse)
        if writes:
            self.warehouse.check_writable()
        self.warehouse.check_schemas()
        self._profile = generation_profile(self.spark, config.placement)
        self.log = RunLog(self.spark, self.warehouse, config, new_run_id())
        self._guard = RunGuard(
            self.warehouse,
            config.guard,
            run_id=self.log.run_id,
            settings=self.settings,
            decide=self._decide(),
            decision_columns=functions.decision_columns,
        )
        self._name = name

    def begin(self) -> None:
        """What comes before the first write: the lease is taken, older tables are migrated, leftovers are deleted.

        Every stage calls it; only the first call of a process does something.

        Raises:
            TableError: WAREHOUSE_BUSY, TABLE_NEWER, MIGRATION_FAILED.
        """
        for migration in self.warehouse.open_for_writing(self.config.lease, f"{self._name} {self.log.run_id}"):
            announce(f"migrated: {migration}")

    def check_executors(self) -> None:
        """Prove that executors run this code; a local session needs no proof."""
        if not is_local(self.spark):
            check_executors(self.spark)

    def ingest(self) -> None:
        """Read the configured input into `documents` and `rejects`."""
        spec = require_input(self.config).input
        assert spec is not None
        self.begin()
        ingest(self.spark, self.warehouse, self._read(spec), self.log, settings=digest([str(spec)]))

    def refine_new(self) -> int:
        """Refine what is new in a Delta source since the last run; then whatever else is not done.

        Returns:
            The number of micro-batches.

        Raises:
            InputError: INPUT_NOT_FOUND, WRONG_FORMAT, SOURCE_CHANGED, SOURCE_SCHEMA, SOURCE_HISTORY, SOURCE_REPLACED.
            ConfigError: CHECKPOINT_UNKNOWN.
        """
        spec = require_input(self.config).input
        assert spec is not None
        source = open_stream(self.spark, spec)
        checkpoint = checkpoint_folder(self.spark, self.warehouse, source)
        self.begin()

        def refine(frame: DataFrame, number: int) -> None:
            announce(f"micro-batch {number}")
            started = datetime.now(timezone.utc)
            if number == 0 and (gone := forget_source(self.warehouse, source)):
                announce(f"{gone:,} documents removed, which the source has no more")
            ingest(
                self.spark,
                self.warehouse,
                source.rows(frame),
                self.log,
                settings=digest([str(spec)]),
                micro_batch=f"{source.key}/{number}",
                is_feed=source.has_feed,
            )
            arrived = (F.col("ingested_by") == self.log.run_id) & (F.col("ingested_at") >= F.lit(started))
            self.advance(self.warehouse.read("documents").where(arrived).select("doc_id"))

        batches = run_micro_batches(source, checkpoint, refine)
        if self.warehouse.exists("documents"):
            self.advance()  # other settings than before, or what a killed run left
        return batches

    def advance(self, only: DataFrame | None = None) -> None:
        """Generate and execute what is missing, of the documents of `only` (doc_id) or of all."""
        for stage in LEVELS:
            self.generate(stage, only)
        self.execute(only)

    def generate(self, stage: Level, only: DataFrame | None = None) -> None:
        """Generate the missing programs of one stage; does nothing when it is off."""
        generator = self._generator(stage)
        if generator is None:
            return
        self.begin()
        generate(
            self.spark,
            self.warehouse,
            self.log,
            generator=generator,
            candidates=self._candidates(stage, only),
            settings=self.settings,
            watch=partial(self._guard.programs, generator.key),
            evidence=self.config.guard.evidence,
        )

    def retry(self, stage: Level, codes: tuple[str, ...]) -> int:
        """Ask again for the programs of one stage that failed with one of the codes; gives the number of documents."""
        generator = self._generator(stage)
        if generator is None:
            return 0
        self.begin()
        return retry(
            self.spark,
            self.warehouse,
            self.log,
            generator=generator,
            codes=codes,
            candidates=self._candidates(stage, None),
            settings=self.settings,
        )

    def execute_retried(self) -> None:
        """Bring `refined` up to date for the documents that this run asked about again."""
        mine = (F.col("run_id") == self.log.run_id) & (F.col("attempts") > 1)
        self.execute(self.warehouse.read("programs").where(mine).select("doc_id").distinct())

    def execute(self, only: DataFrame | None = None) -> None:
        """Apply the stored programs, of the documents of `only` or of all."""
        self.begin()
        model = self.config.stage_model("chunk")
        # An author has no tokenizer: the embedded refiner's counts for all of them, so that they can be compared.
        path = EMBEDDED if model.engine == "author" else model.path
        tokenizer = path if self.config.count_tokens else None
        execute(
            self.spark,
            self.warehouse,
            self.log,
            doc_key=self._keys["doc"],
            chunk_key=self._keys["chunk"],
            execute_programs=self.functions.execute_programs(
                policy=self.policy, dialect=self.config.dialect, tokenizer=tokenizer
            ),
            policy_name=self.policy.name,
            policy_hash=self.policy.fingerprint(),
            settings=self.settings,
            batch_documents=self.config.placement.batch_documents,
            watch=self._guard.refined,
            evidence=self.config.guard.evidence,
            only=only,
        )

    def dry_run(self, *, reads_input: bool) -> DryRun:
        """A run that counts what this one would do, and writes nothing."""
        spec = require_input(self.config).input if reads_input else None
        arriving = gone = None
        if spec is not None:
            arriving = self._read(spec)
            if spec.incremental:
                source = open_stream(self.spark, spec)
                announce(backlog(self.spark, source, checkpoint_folder(self.spark, self.warehouse, source)))
                gone = lost_documents(self.warehouse, source)
        on = [stage for stage in LEVELS if self._keys[stage] is not None]
        modelled = [stage for stage in on if self.config.stage_model(stage).engine != "author"]
        return DryRun(
            warehouse=self.warehouse,
            arriving=arriving,
            gone=gone,
            doc_key=self._keys["doc"],
            chunk_key=self._keys["chunk"],
            prompts={stage: prompt_spec(self.config, stage) for stage in modelled},
            decide=self._decide(),
            decision_columns=self.functions.decision_columns,
            settings=self.settings,
        )

    def _read(self, spec: InputSpec) -> DataFrame:
        return read_input(self.spark, spec, archive_reader=self.functions.read_archives(spec=spec))

    def _generator(self, stage: Level) -> Generator | None:
        key = self._keys[stage]
        if key is None:
            return None
        model = self.config.stage_model(stage)
        return Generator(
            key=key,
            generate_programs=self._writer(stage, model),
            columns=self.functions.program_columns,
            placement=self.config.placement,
            partitions=partial(generation_partitions, self.spark, self.config.placement),
            profile=self._profile,
            engine=engine_name(model) if is_local(self.spark) else model.engine,
        )

    def _candidates(self, stage: Level, only: DataFrame | None) -> DataFrame:
        """(doc_id, doc_hash) of the documents that a stage is for."""
        before = None if stage == "doc" else self._keys["doc"]
        return kept_documents(self.warehouse, before, self._decide(), self.functions.decision_columns, only)

    def _writer(self, stage: Level, model: ModelSpec) -> PandasFunction:
        """What writes the programs of a stage: a language model, or an author that is none."""
        writer: PandasFunction
        if model.engine == "author":
            writer = self.functions.write_programs(stage=stage, author=model.path)
        else:
            writer = self.functions.generate_programs(stage=stage, model=model, prompt=prompt_spec(self.config, stage))
        return writer

    def _decide(self) -> PandasFunction:
        decide: PandasFunction = self.functions.decide_documents(policy=self.policy, dialect=self.config.dialect)
        return decide

    def _session(self, name: str) -> SparkSession:
        placement = self.config.placement
        announce("starting Spark ...")
        spark = build_session(
            name,
            arrow_batch_rows=placement.arrow_batch_rows,
            arrow_batch_bytes=placement.arrow_batch_bytes,
            extra=self.config.spark,
        )
        ship_code(spark)
        return spark
