"""Generate: documents without a program for the current settings get one, in batches, each stored before it is used.

A batch is one Delta commit: what a killed run can lose at most. Model output is never shuffled before it is stored,
because a retry would compute it again, and differently. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.config.run import RunConfig
from spark_prox.documents import Level
from spark_prox.engines.worker import engine_name
from spark_prox.keys import ProgramKey
from spark_prox.spark.balancing import balanced
from spark_prox.spark.counting import count_rows, observed
from spark_prox.spark.placement import generation_partitions, generation_slots, generation_workers
from spark_prox.spark.progress import announce
from spark_prox.spark.shipping import is_local
from spark_prox.stages.base import Run, Stage
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.figures import LARGEST_TASK, StageFigures
from spark_prox.stages.guard import PROGRAM_COUNTS
from spark_prox.stages.portions import bucket_between, bucket_of, portions
from spark_prox.stages.retry import failed_programs, store_answers, wanted_again
from spark_prox.stages.stored import kept_documents, marked_done, with_stage_programs
from spark_prox.stages.verdicts import candidates
from spark_prox.stages.work_list import decided_once
from spark_prox.warehouse.schemas import BUCKETS, PROGRAMS
from spark_prox.warehouse.texts import byte_count, texts_of
from spark_prox.writers import writer_of

__all__ = ["Generate"]

_FEW = 500
"""Documents that are not worth a job that finds out what each costs."""
_SENT_TO_ALL = 200_000
"""Ids of so many documents are sent to every executor, so that texts are not moved to meet them."""
_TOKEN_BYTES = 4
_PROMPT_BYTES = 400


@dataclass(frozen=True)
class Generate(Stage):
    """The writer of a level writes programs for documents, and at the chunk level for those that were kept."""

    level: Level
    reads = ("documents", "programs")
    writes = ("programs",)
    needs = ("engine",)

    @property
    def name(self) -> str:  # type: ignore[override]
        """See `Stage`."""
        return f"generate-{self.level}"

    def check(self, config: RunConfig) -> None:
        """See `Stage`: the writer's parts fit together."""
        if config.stage(self.level).enabled:
            writer_of(config, self.level).check()

    def run(self, run: Run, only: DataFrame | None = None) -> None:
        """See `Stage`; does nothing when the level is off."""
        if self.level not in run.keys:
            return
        warehouse, key, guard = run.warehouse, run.keys[self.level], run.guard
        with run.log.stage(self.name, run.settings) as figures:
            warehouse.expect("programs")
            self._set_flop(run, figures)
            documents = candidates(warehouse, run.filters, only)
            kept = kept_documents(warehouse, documents, self._before(run), run.decide)
            known = marked_done(kept, with_stage_programs(warehouse, key))
            with decided_once(known) as work:
                counts = count_rows(work, {"new": "count_if(done IS NULL)", "done": "count_if(done)"})
                figures.planned, figures.skipped = counts["new"], counts["done"]
                pending = work.where("done IS NULL")
                ranges = portions(figures.planned, run.portion_documents, guard.limits.evidence)
                largest = 0.0
                for portion, (first, stop) in enumerate(ranges):
                    size = math.ceil(figures.planned * (stop - first) / BUCKETS)
                    before = datetime.now(timezone.utc)
                    found, skew = self._rows(run, pending, (first, stop), size, one_pass=run.one_pass)
                    rows, counted = observed(found, PROGRAM_COUNTS)
                    asking = run.log.portion(
                        number=portion + 1, count=len(ranges), documents=size, reads_documents=True
                    )
                    with asking:
                        warehouse.append("programs", rows)
                    figures.documents += counted.get[f"documents_{self.level}"]
                    self._add(run, counted.get, figures)
                    guard.programs(key, before, counted.get, figures)
                    run.log.grown()
                    largest = max(largest, skew)
                figures.documents = figures.planned
                if largest:
                    figures.guard = {**figures.guard, LARGEST_TASK: largest}
                    announce(f"{self.name}: largest task / its share {largest:.2f}, by the bytes to read")

    def retry(self, run: Run, codes: tuple[str, ...]) -> int:
        """See `Stage`: failed programs are asked for again and replaced, each with one attempt more."""
        if self.level not in run.keys:
            return 0
        warehouse, key = run.warehouse, run.keys[self.level]
        with run.log.stage(f"retry-{self.level}", run.settings) as figures:
            warehouse.expect("programs")
            self._set_flop(run, figures)
            documents = candidates(warehouse, run.filters, None)
            kept = kept_documents(warehouse, documents, self._before(run), run.decide)
            with warehouse.staged(wanted_again(warehouse, key, codes, kept), "retry") as failed:
                figures.planned = failed.count()
                ranges = portions(figures.planned, run.portion_documents, 0)
                for portion, (first, stop) in enumerate(ranges):
                    size = math.ceil(figures.planned * (stop - first) / BUCKETS)
                    rows, _ = self._rows(run, failed, (first, stop), size)
                    asking = run.log.portion(
                        number=portion + 1, count=len(ranges), documents=size, reads_documents=True
                    )
                    self._add(run, store_answers(warehouse, rows, failed, asking), figures)
                    figures.documents = figures.planned * stop // BUCKETS
                    run.log.grown()
                figures.documents = figures.planned
            return figures.documents

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """See `Stage`."""
        return dry.generate(self.level) if self.level in dry.run.keys else []

    def plan_retry(self, dry: DryRun, codes: tuple[str, ...]) -> list[PlannedStage]:
        """See `Stage`."""
        if self.level not in dry.run.keys or not dry.has("programs"):
            return []
        failed = failed_programs(dry.run.warehouse, dry.run.keys[self.level], codes, dry.candidates)
        documents = failed.select("doc_id", "doc_hash").distinct()
        note = f"{failed.count():,} programs"
        return [dry.line(f"retry-{self.level}", self.level, documents, documents.count(), note)]

    def _before(self, run: Run) -> ProgramKey | None:
        """The key of the level that decides which documents this one is for."""
        return None if self.level == "doc" else run.keys.get("doc")

    def _rows(
        self, run: Run, wanted: DataFrame, buckets: tuple[int, int], documents: int, *, one_pass: bool = False
    ) -> tuple[DataFrame, float]:
        """Rows of `programs`, asked for once, of the documents of a range of buckets that are in `wanted`.

        Also the largest task over its share; 0 for few documents, which are dealt out by their number.

        Args:
            wanted: (doc_id, doc_hash, bucket), at least.
            documents: about how many there are.
            one_pass: the document level also stores programs of the chunk level, see `Run.one_pass`.
        """
        in_range = bucket_between(*buckets)  # Delta's statistics leave out the files that hold none of these
        wanted = wanted.where(in_range).select("doc_id", "doc_hash")
        wanted = F.broadcast(wanted) if documents <= _SENT_TO_ALL else wanted
        stored = run.warehouse.read("documents").where(in_range)
        found = stored.join(wanted, ["doc_id", "doc_hash"], "left_semi")
        texts = texts_of(run.warehouse, found)
        placement, writer = run.config.placement, run.writers[self.level]
        function = writer.function(run.functions, one_pass=one_pass and self.level == "doc")
        tasks, slots = generation_partitions(run.spark, placement, documents), generation_slots(run.spark, placement)
        skew = 0.0
        if documents >= _FEW and slots > 1:
            known = found, self._cost(run, byte_count(), one_pass=one_pass)
            cost = self._cost(run, F.octet_length("text"), one_pass=one_pass)
            cuts = self.level == "chunk" and writer.prompt is not None  # chunks are asked about one by one
            spread, skew = balanced(texts, "doc_id", cost, tasks, slots, known, cuts=cuts)
        else:
            spread = texts.repartition(tasks)
        with generation_workers(run.spark, placement):
            rows = spread.mapInPandas(function, function.columns, profile=run.profile)
        constants = {
            # "auto" can be resolved here only where the driver's machine is the executors'.
            "engine": engine_name(writer.model) if is_local(run.spark) else writer.model.engine,
            "run_id": run.log.run_id,
            "attempts": 1,
        }
        named = rows.withColumns({**self._key_columns(run), **{name: F.lit(it) for name, it in constants.items()}})
        named = named.withColumns({"generated_at": F.current_timestamp(), "bucket": bucket_of("doc_id")})
        stored_rows = named.select(*PROGRAMS.schema.fieldNames())
        return stored_rows, skew

    def _cost(self, run: Run, read: Column, *, one_pass: bool) -> Column:
        """Bytes of UTF-8 of a document, of which a token has about as many in any script, and those of a prompt.

        A text prompt of the document level reads no more than fits into it.
        """
        prompt = run.writers[self.level].prompt
        if self.level == "doc" and not one_pass and prompt is not None and prompt.template.kind == "text":
            read = F.least(read, F.lit(_TOKEN_BYTES * prompt.max_prompt_tokens))
        return (read + F.lit(_PROMPT_BYTES)).cast("long")

    def _key_columns(self, run: Run) -> dict[str, Column]:
        """The columns of `ProgramKey`. A row of the document level has no chunk."""
        if self.level == "chunk" or not run.one_pass:
            return {name: F.lit(value) for name, value in vars(run.keys[self.level]).items()}
        of_document = F.col("chunk_index") < 0
        doc, chunk = vars(run.keys["doc"]), vars(run.keys["chunk"])
        return {name: F.when(of_document, F.lit(doc[name])).otherwise(F.lit(chunk[name])) for name in doc}

    def _add(self, run: Run, counts: Mapping[str, int], figures: StageFigures) -> None:
        """Add what a portion stored, by `PROGRAM_COUNTS`, to the figures of the stage."""
        figures.programs += counts["programs"]
        figures.failed += counts["failed"]
        figures.prompt_tokens += counts["prompt_tokens"]
        figures.output_tokens += counts["output_tokens"]
        self._set_flop(run, figures)

    def _set_flop(self, run: Run, figures: StageFigures) -> None:
        flop = run.writers[self.level].flop_per_token()
        if flop is not None:
            figures.flop = flop * (figures.prompt_tokens + figures.output_tokens)
