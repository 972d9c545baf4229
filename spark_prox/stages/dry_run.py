"""What a run would do and cost, without writing anything: documents, prompt tokens and FLOP of each stage.

Documents are counted by the joins that the stages themselves do. Tokens are those of a sample's real prompts, times the
documents; what a model would answer is not known, so FLOP are those of reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.keys import StageKey
from spark_prox.models import matrix_parameters
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.stages.execute import settled_documents
from spark_prox.stages.generate import PandasFunction, with_stage_programs
from spark_prox.stages.retry import failed_programs
from spark_prox.warehouse.tables import Warehouse

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


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """A run that only counts.

    Attributes:
        arriving: rows of `spark_prox.sources.frames.read_input`; None for a run that ingests nothing.
        gone: (doc_id) of documents that the source no longer has; None where it does not say.
        doc_key, chunk_key: keys of the stages that are on.
        prompts: prompt settings of the stages whose prompts can be built.
        decide, decision_columns: for `mapInPandas` over document programs: gives the kept ones.
    """

    warehouse: Warehouse
    arriving: DataFrame | None
    gone: DataFrame | None
    doc_key: StageKey | None
    chunk_key: StageKey | None
    prompts: dict[str, PromptSpec]
    decide: PandasFunction
    decision_columns: str
    settings: str

    def stages(self) -> list[PlannedStage]:
        """What ingest, generate and execute would do."""
        plan = [] if self.arriving is None else self._ingest()
        unknown, share, note = 0, 1.0, ""
        if self.doc_key is not None:
            pending = self._without_programs(self._documents, self.doc_key)
            unknown = pending.count()
            plan.append(self._generate(self.doc_key, pending, unknown))
        if self.chunk_key is not None:
            candidates = self._documents
            if self.doc_key is not None and self._has("programs"):
                decided = with_stage_programs(self.warehouse, self.doc_key).join(self._documents, _ID, "left_semi")
                columns = decided.select("doc_id", "doc_hash", "program", "status", "margin")
                candidates = columns.mapInPandas(self.decide, self.decision_columns)
                if total := decided.count():
                    share = candidates.count() / total
                    note = f"{share:.0%} of the undecided, as of the {total:,} decided"
            if self.doc_key is not None and unknown and not note:
                note, candidates = "if the document stage keeps all", self._documents.limit(0)
            pending = self._without_programs(candidates, self.chunk_key)
            basis = pending.unionByName(self._without_programs(self._documents, self.doc_key)) if unknown else pending
            plan.append(self._generate(self.chunk_key, basis, pending.count() + round(share * unknown), note))
        pending = self._documents
        if self._has("refined") and self._has("rejects"):
            keys = [key for key in (self.doc_key, self.chunk_key) if key is not None]
            pending = pending.join(
                settled_documents(self.warehouse, self._documents, keys, self.settings), _ID, "left_anti"
            )
        return [*plan, PlannedStage(stage="execute", documents=pending.count())]

    def retries(self, codes: Sequence[str]) -> list[PlannedStage]:
        """What `--retry` would ask again."""
        plan = []
        for key in (self.doc_key, self.chunk_key):
            if key is not None and self._has("programs"):
                failed = failed_programs(self.warehouse, key, tuple(codes), self._documents)
                documents = failed.select(*_ID).distinct()
                note = f"{failed.count():,} programs"
                line = self._generate(key, documents, documents.count(), note)
                plan.append(PlannedStage(**{**vars(line), "stage": f"retry-{key.stage}"}))
        return plan

    def _ingest(self) -> list[PlannedStage]:
        assert self.arriving is not None
        bad = self.arriving.where("reject_code IS NOT NULL").count()
        counts = {row["state"]: row["count"] for row in self._arrived.groupBy("state").count().collect()}
        new, changed, same = (counts.get(state, 0) for state in ("new", "changed", "same"))
        note = f"{new:,} new, {changed:,} changed, {same:,} known; {bad:,} would be rejects"
        plan = [PlannedStage(stage="ingest", documents=new + changed, note=note)]
        if self.gone is not None:
            count = self.gone.count()
            plan.append(PlannedStage(stage="remove", documents=count, note="the source has them no more"))
        return plan

    @cached_property
    def _arrived(self) -> DataFrame:
        """(doc_id, doc_hash, state) of the documents of the input."""
        assert self.arriving is not None
        good = self.arriving.where("reject_code IS NULL").select("doc_id", F.sha2("text", 256).alias("doc_hash"))
        if not self._has("documents"):
            return good.withColumn("state", F.lit("new")).persist()
        known = self.warehouse.read("documents").select("doc_id", F.col("doc_hash").alias("known_hash"))
        state = (
            F.when(F.col("known_hash").isNull(), F.lit("new"))
            .when(F.col("known_hash") == F.col("doc_hash"), F.lit("same"))
            .otherwise(F.lit("changed"))
        )
        return good.join(known, "doc_id", "left").select(*_ID, state.alias("state")).persist()

    @cached_property
    def _documents(self) -> DataFrame:
        """(doc_id, doc_hash) of `documents` after the ingest."""
        if self.arriving is None:
            return self.warehouse.read("documents").select(*_ID)
        known = self.warehouse.read("documents").select(*_ID) if self._has("documents") else None
        fresh = self._arrived.where("state <> 'same'").select(*_ID)
        if known is None:
            return fresh
        if self.gone is not None:
            known = known.join(self.gone, "doc_id", "left_anti")
        return known.join(fresh.select("doc_id"), "doc_id", "left_anti").unionByName(fresh)

    def _without_programs(self, candidates: DataFrame, key: StageKey | None) -> DataFrame:
        if key is None or not self._has("programs"):
            return candidates
        return candidates.join(with_stage_programs(self.warehouse, key).select(*_ID), _ID, "left_anti")

    def _generate(self, key: StageKey, documents: DataFrame, count: int, note: str = "") -> PlannedStage:
        """A line of a generating stage; `documents` are those from which the sample is drawn."""
        tokens: int | None = None
        flop: float | None = None
        if key.stage in self.prompts:
            texts = self._sample(documents, count) if count else []
            read = sum(self._prompt_tokens(key.stage, text) for text in texts)
            tokens = round(read / len(texts) * count) if texts else 0
            parameters = None if key.model_revision.startswith("scripted-") else matrix_parameters(key.model)
            flop = None if parameters is None else 2.0 * parameters * tokens
            note = "; ".join(filter(None, [note, f"tokens from {len(texts)} prompts" if texts else ""]))
        return PlannedStage(stage=f"generate-{key.stage}", documents=count, prompt_tokens=tokens, flop=flop, note=note)

    def _sample(self, documents: DataFrame, count: int) -> list[str]:
        ids = documents.sample(fraction=min(1.0, 2 * _SAMPLE / count), seed=0).limit(_SAMPLE)
        texts = [frame.select(*_ID, "text") for frame in self._texts()]
        found = [frame.join(F.broadcast(ids), _ID, "left_semi").select("text").limit(_SAMPLE) for frame in texts]
        return [row["text"] for frame in found for row in frame.collect()][:_SAMPLE]

    def _texts(self) -> list[DataFrame]:
        tables = [self.warehouse.read("documents")] if self._has("documents") else []
        if self.arriving is None:
            return tables
        good = self.arriving.where("reject_code IS NULL")
        return [*tables, good.withColumn("doc_hash", F.sha2("text", 256))]

    def _prompt_tokens(self, stage: str, text: str) -> int:
        builder = builder_for(self.prompts[stage])
        if stage == "doc":
            return len(builder.document_prompt(text).token_ids)
        return sum(len(prompt.token_ids) for _, prompt in builder.chunk_prompts(text) if prompt is not None)

    def _has(self, table: str) -> bool:
        return self.warehouse.exists(table)
