"""Plan a run without writing anything: documents, prompt tokens and FLOP of each stage.

Documents are counted by the joins that the stages themselves do. Tokens are those of a sample's real prompts, times the
documents; what a model would answer is not known, so FLOP are those of reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.documents import Level
from spark_prox.keys import ProgramKey
from spark_prox.prompts.builder import PromptBuilder, builder_for
from spark_prox.stages.base import Run
from spark_prox.stages.stored import kept_documents, with_stage_programs
from spark_prox.stages.verdicts import without_dropped
from spark_prox.warehouse.texts import texts_of

__all__ = ["DryRun", "PlannedStage"]

_SAMPLE = 500
_ID = ["doc_id", "doc_hash"]


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """One line of a plan.

    Attributes:
        documents: that the stage would work on.
        prompt_tokens, flop: None where a stage has no model, or one of unknown size.
        note: what the numbers rest on.
    """

    stage: str
    documents: int
    prompt_tokens: int | None = None
    flop: float | None = None
    note: str = ""


class DryRun:
    """The documents that the stages of a run would find, handed from one to the next.

    Args:
        arriving: rows of `spark_prox.sources.frames.read_input`; None for a run that ingests nothing.
        gone: (doc_id) of documents that the source no longer has; None where it does not say.

    Attributes:
        undecided: documents of which the document level would have to be asked whether they are kept.
        note: what the share of them that would be kept rests on.
    """

    def __init__(self, run: Run, arriving: DataFrame | None = None, gone: DataFrame | None = None) -> None:
        self.run = run
        self.arriving = arriving
        self.gone = gone
        self.undecided = 0
        self.note = ""
        self._kept_share = 1.0

    def generate(self, level: Level) -> list[PlannedStage]:
        """The line of a level: documents without a program, and at the chunk level some of the undecided."""
        key = self.run.keys[level]
        if level == "doc":
            pending = self._without_programs(self.candidates, key)
            self.undecided = pending.count()
            return [self.line(f"generate-{level}", level, pending, self.undecided)]
        pending = self._without_programs(self._kept(), key)
        if self.run.one_pass:
            note = "the undecided are read with the document level, but for pages of several chunks"
            return [self.line(f"generate-{level}", level, pending, pending.count(), note if self.undecided else "")]
        basis = pending
        if self.undecided:
            basis = pending.unionByName(self._without_programs(self.candidates, self.run.keys["doc"]))
        count = pending.count() + round(self._kept_share * self.undecided)
        return [self.line(f"generate-{level}", level, basis, count, self.note)]

    def _kept(self) -> DataFrame:
        """The documents that are known to be kept; also learns which share of the decided ones is."""
        doc_key = self.run.keys.get("doc")
        if doc_key is None:
            return self.candidates
        kept = self.candidates
        if self.has("programs"):
            documents = self.candidates.withColumn("bucket", F.lit(0))
            kept = kept_documents(self.run.warehouse, documents, doc_key, self.run.decide).select(*_ID)
            decided = with_stage_programs(self.run.warehouse, doc_key).join(self.candidates, _ID, "left_semi")
            if total := decided.count():
                self._kept_share = kept.count() / total
                self.note = f"{self._kept_share:.0%} of the undecided, as of the {total:,} decided"
        if self.undecided and not self.note:
            self.note = "if the document stage keeps all"
            return self.candidates.limit(0)
        return kept

    @cached_property
    def arrived(self) -> DataFrame:
        """(doc_id, doc_hash, state) of the documents of the input."""
        assert self.arriving is not None
        good = self.arriving.where("reject_code IS NULL").select("doc_id", F.sha2("text", 256).alias("doc_hash"))
        if not self.has("documents"):
            return good.withColumn("state", F.lit("new")).persist()
        known = self.run.warehouse.read("documents").select("doc_id", F.col("doc_hash").alias("known_hash"))
        state = (
            F.when(F.col("known_hash").isNull(), F.lit("new"))
            .when(F.col("known_hash") == F.col("doc_hash"), F.lit("same"))
            .otherwise(F.lit("changed"))
        )
        return good.join(known, "doc_id", "left").select(*_ID, state.alias("state")).persist()

    @cached_property
    def documents(self) -> DataFrame:
        """(doc_id, doc_hash) of `documents` after the ingest."""
        if self.arriving is None:
            return self.run.warehouse.read("documents").select(*_ID)
        known = self.run.warehouse.read("documents").select(*_ID) if self.has("documents") else None
        fresh = self.arrived.where("state <> 'same'").select(*_ID)
        if known is None:
            return fresh
        if self.gone is not None:
            known = known.join(self.gone, "doc_id", "left_anti")
        return known.join(fresh.select("doc_id"), "doc_id", "left_anti").unionByName(fresh)

    @property
    def candidates(self) -> DataFrame:
        """Those of them that no stored verdict of a filter drops."""
        hashes = self.run.filters if self.has("verdicts") else {}
        return without_dropped(self.run.warehouse, hashes, self.documents)

    def _without_programs(self, candidates: DataFrame, key: ProgramKey) -> DataFrame:
        if not self.has("programs"):
            return candidates
        return candidates.join(with_stage_programs(self.run.warehouse, key).select(*_ID), _ID, "left_anti")

    def line(self, stage: str, level: Level, documents: DataFrame, count: int, note: str = "") -> PlannedStage:
        """A line of a stage that generates; `documents` are those from which the sample is drawn."""
        writer = self.run.writers[level]
        tokens: int | None = None
        flop: float | None = None
        if writer.prompt is not None:
            builder = builder_for(writer.prompt)
            texts = self._sample(documents, count) if count else []
            read = sum(_prompt_tokens(builder, level, text) for text in texts)
            tokens = round(read / len(texts) * count) if texts else 0
            each = writer.flop_per_token()
            flop = None if each is None else each * tokens
            note = "; ".join(filter(None, [note, f"tokens from {len(texts)} prompts" if texts else ""]))
        return PlannedStage(stage=stage, documents=count, prompt_tokens=tokens, flop=flop, note=note)

    def _sample(self, documents: DataFrame, count: int) -> list[str]:
        ids = documents.sample(fraction=min(1.0, 2 * _SAMPLE / count), seed=0).limit(_SAMPLE)
        found = [frame.join(F.broadcast(ids), _ID, "left_semi") for frame in self._texts()]
        if self.has("documents"):
            found[0] = texts_of(self.run.warehouse, found[0])
        found = [frame.select("text").limit(_SAMPLE) for frame in found]
        return [row["text"] for frame in found for row in frame.collect()][:_SAMPLE]

    def _texts(self) -> list[DataFrame]:
        tables = [self.run.warehouse.read("documents")] if self.has("documents") else []
        if self.arriving is None:
            return tables
        good = self.arriving.where("reject_code IS NULL")
        return [*tables, good.withColumn("doc_hash", F.sha2("text", 256))]

    def has(self, table: str) -> bool:
        """True if a table is there."""
        return self.run.warehouse.exists(table)


def _prompt_tokens(builder: PromptBuilder, level: Level, text: str) -> int:
    if level == "doc":
        return len(builder.document_prompt(text).token_ids)
    return sum(len(prompt.token_ids) for _, prompt in builder.chunk_prompts(text) if prompt is not None)
