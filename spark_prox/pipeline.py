"""One run over one warehouse: checks first, then ingest, generate, execute, in the order that a job asks for.

Everything that can be wrong with configuration, models, input and tables is found before the first write.
"""

from __future__ import annotations

from functools import partial

from pyspark.sql import SparkSession

from spark_prox.config import RunConfig
from spark_prox.engines.worker import engine_name
from spark_prox.functions import Functions
from spark_prox.jobkit import require_input
from spark_prox.placement import generation_partitions, generation_profile
from spark_prox.progress import announce
from spark_prox.prompts import builder_for
from spark_prox.session import build_session
from spark_prox.shipping import check_executors, is_local, ship_code
from spark_prox.sources.frames import read_input
from spark_prox.stages.execute import execute, kept_documents
from spark_prox.stages.generate import PandasFunction, generate
from spark_prox.stages.ingest import ingest
from spark_prox.stages.keys import (
    STAGES,
    Stage,
    StageKey,
    digest,
    policy_of,
    prompt_spec,
    settings_hash,
    stage_key,
)
from spark_prox.stages.runlog import RunLog, new_run_id
from spark_prox.tables import Warehouse

__all__ = ["Pipeline"]


class Pipeline:
    """The stages of one run.

    Args:
        config: the whole configuration.
        functions: what runs on executors.
        name: the job's name, for Spark's web interface.

    Raises:
        ProxError: the configuration, a model, the environment, the warehouse or a table's schema is wrong.
    """

    def __init__(self, config: RunConfig, functions: Functions, *, name: str) -> None:
        self.config = config
        self.functions = functions
        self.policy = policy_of(config)
        self._keys: dict[Stage, StageKey | None] = {}
        for stage in STAGES:
            enabled = config.stage(stage).enabled
            if enabled:
                builder_for(prompt_spec(config, stage))  # template, tokenizer and budgets fit together
            self._keys[stage] = stage_key(config, stage) if enabled else None
        self.settings = settings_hash(config)
        self.spark = self._session(name)
        self.warehouse = Warehouse(self.spark, config.warehouse)
        self.warehouse.check_writable()
        self.warehouse.check_schemas()
        self._profile = generation_profile(self.spark, config.placement)
        self.log = RunLog(self.spark, self.warehouse, config, new_run_id())

    def check_executors(self) -> None:
        """Prove that executors run this code; a local session needs no proof."""
        if not is_local(self.spark):
            check_executors(self.spark)

    def ingest(self) -> None:
        """Read the configured input into `documents` and `rejects`."""
        spec = require_input(self.config).input
        assert spec is not None
        rows = read_input(self.spark, spec, archive_reader=self.functions.read_archives(spec=spec))
        ingest(self.spark, self.warehouse, rows, self.log, settings=digest([str(spec)]))

    def generate(self, stage: Stage) -> None:
        """Generate the missing programs of one stage; does nothing when it is off."""
        key = self._keys[stage]
        if key is None:
            return
        model = self.config.stage_model(stage)
        before = None if stage == "doc" else self._keys["doc"]
        candidates = kept_documents(self.warehouse, before, self._decide(), self.functions.decision_columns)
        generate(
            self.spark,
            self.warehouse,
            self.log,
            key=key,
            generate_programs=self.functions.generate_programs(
                stage=stage, model=model, prompt=prompt_spec(self.config, stage)
            ),
            columns=self.functions.program_columns,
            candidates=candidates,
            placement=self.config.placement,
            partitions=partial(generation_partitions, self.spark, self.config.placement),
            profile=self._profile,
            engine=engine_name(model) if is_local(self.spark) else model.engine,
            settings=self.settings,
        )

    def execute(self) -> None:
        """Apply the stored programs."""
        tokenizer = self.config.stage_model("chunk").path if self.config.count_tokens else None
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
        )

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
