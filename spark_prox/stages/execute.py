"""Execute: stored programs are applied to their documents; every document gets one row of `refined`.

Needs no model and can be run again under another policy: rows whose settings differ are replaced. A document without
the programs that it should have is a FAILED row with its text unchanged, so that documents in = refined + rejects holds
at any time. Knows the language only as the callables it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_prox.progress import Progress
from spark_prox.schemas import REFINED
from spark_prox.stages.generate import PandasFunction, with_stage_programs
from spark_prox.stages.keys import StageKey
from spark_prox.stages.runlog import RunLog
from spark_prox.tables import Warehouse

__all__ = ["RUN_COLUMNS", "ArrowFunction", "execute", "kept_documents"]

ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]

RUN_COLUMNS = ("policy", "policy_hash", "settings_hash", "run_id", "refined_at")


def kept_documents(warehouse: Warehouse, key: StageKey | None, decide: PandasFunction, columns: str) -> DataFrame:
    """(doc_id, doc_hash) of the documents that the document stage keeps; all of them when it is off.

    Args:
        key: the document stage's key; None when the stage is off.
        decide: for `mapInPandas` over (doc_id, doc_hash, program, status, margin); gives the kept documents.
        columns: what `decide` gives: doc_id and doc_hash.
    """
    documents = warehouse.read("documents").select("doc_id", "doc_hash")
    if key is None:
        return documents
    programs = with_stage_programs(warehouse, key).select("doc_id", "doc_hash", "program", "status", "margin")
    return programs.mapInPandas(decide, columns).join(documents, ["doc_id", "doc_hash"], "left_semi")


def execute(
    spark: SparkSession,
    warehouse: Warehouse,
    log: RunLog,
    *,
    doc_key: StageKey | None,
    chunk_key: StageKey | None,
    execute_programs: ArrowFunction,
    policy_name: str,
    policy_hash: str,
    settings: str,
) -> None:
    """Bring `refined` up to date with the documents, the stored programs and the policy.

    Args:
        doc_key, chunk_key: which stored programs to use; None for a stage that is off.
        execute_programs: for `mapInArrow` over documents with their programs; gives the rows of `refined` without the
            run's columns.
        settings: hash of everything that decides a row, stored as `settings_hash`.
    """
    with log.stage("execute", settings) as figures:
        user_columns = warehouse.user_columns("documents")
        warehouse.ensure("programs")
        warehouse.ensure("refined", user_columns)
        documents = warehouse.read("documents")
        refined = warehouse.read("refined").select("doc_id", "doc_hash", "settings_hash", "reason")
        current = refined.where(
            (F.col("settings_hash") == settings) & ~F.coalesce(F.col("reason") == "NO_PROGRAM", F.lit(False))
        ).select("doc_id", "doc_hash")
        pending = documents.join(current, ["doc_id", "doc_hash"], "left_anti")
        figures.documents = pending.count()
        figures.skipped = documents.count() - figures.documents
        if not figures.documents:
            return
        replaces = not pending.join(refined, "doc_id", "left_semi").isEmpty()
        names = [field.name for field in user_columns]
        inputs = with_programs(warehouse, pending, doc_key, chunk_key).select(
            "doc_id",
            "doc_hash",
            "url",
            "text",
            "source",
            "crawl",
            *_PROGRAM_COLUMNS,
            *(f"`{name}`" for name in names),
        )
        core = [field for field in REFINED.schema.fields if field.name not in RUN_COLUMNS]
        rows = (
            inputs.mapInArrow(execute_programs, StructType([*core, *user_columns]))
            .withColumn("policy", F.lit(policy_name))
            .withColumn("policy_hash", F.lit(policy_hash))
            .withColumn("settings_hash", F.lit(settings))
            .withColumn("run_id", F.lit(log.run_id))
            .withColumn("refined_at", F.current_timestamp())
            .select(*REFINED.schema.fieldNames(), *(f"`{name}`" for name in names))
        )
        with Progress(spark, "execute", documents=figures.documents):
            if replaces:
                with warehouse.staged(rows, "refined") as stored:
                    warehouse.upsert("refined", stored)
            else:
                warehouse.append("refined", rows)


_PROGRAM_COLUMNS = ("doc_program", "doc_status", "doc_margin", "chunks")


def with_programs(
    warehouse: Warehouse, documents: DataFrame, doc_key: StageKey | None, chunk_key: StageKey | None
) -> DataFrame:
    """Documents with their stored programs: doc_program, doc_status, doc_margin, and `chunks` in order."""
    if doc_key is not None:
        doc_programs = with_stage_programs(warehouse, doc_key).select(
            "doc_id",
            "doc_hash",
            F.col("program").alias("doc_program"),
            F.col("status").alias("doc_status"),
            F.col("margin").alias("doc_margin"),
        )
        documents = documents.join(doc_programs.dropDuplicates(["doc_id", "doc_hash"]), ["doc_id", "doc_hash"], "left")
    else:
        documents = documents.withColumns(
            {
                "doc_program": F.lit("keep_doc()"),
                "doc_status": F.lit("OFF"),
                "doc_margin": F.lit(None).cast("double"),
            }
        )
    chunk = "struct(chunk_index, chunk_count, first_line, line_count, program, status, line_margins)"
    if chunk_key is not None:
        chunks = (
            with_stage_programs(warehouse, chunk_key)
            .dropDuplicates(["doc_id", "doc_hash", "chunk_index"])
            .groupBy("doc_id", "doc_hash")
            .agg(F.array_sort(F.collect_list(F.expr(chunk))).alias("chunks"))
        )
        return documents.join(chunks, ["doc_id", "doc_hash"], "left")
    return documents.withColumn(
        "chunks",
        F.expr(
            "cast(array() as array<struct<chunk_index:int,chunk_count:int,first_line:int,line_count:int,"
            "program:string,status:string,line_margins:array<float>>>)"
        ),
    )
