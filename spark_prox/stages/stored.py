"""The stored programs as stages read them: those that count, the documents they keep, and both joined to execute them.

Knows no stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.documents import Level
from spark_prox.functions import PandasFunction
from spark_prox.keys import ProgramKey
from spark_prox.warehouse.tables import Warehouse

__all__ = ["PROGRAM_COLUMNS", "kept_documents", "used_programs", "with_programs", "with_stage_programs"]

PROGRAM_COLUMNS = ("doc_program", "doc_status", "doc_margin", "chunks")
"""What `with_programs` adds."""


def with_stage_programs(warehouse: Warehouse, key: ProgramKey) -> DataFrame:
    """The stored programs under one key."""
    programs = warehouse.read("programs")
    for name, value in key.deciding().items():
        programs = programs.where(programs[name] == value)
    return programs


def used_programs(warehouse: Warehouse, keys: Iterable[ProgramKey]) -> DataFrame:
    """The stored programs under one of the keys."""
    return reduce(DataFrame.unionByName, (with_stage_programs(warehouse, key) for key in keys))


def kept_documents(
    warehouse: Warehouse, key: ProgramKey | None, decide: PandasFunction, only: DataFrame | None = None
) -> DataFrame:
    """(doc_id, doc_hash) of the documents that the document level keeps; all of them when it is off.

    Args:
        key: the document level's; None when it is off.
        decide: see `Functions.decide_documents`.
        only: (doc_id) of the documents to look at; None for all.
    """
    documents = warehouse.read("documents").select("doc_id", "doc_hash")
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")
    if key is None:
        return documents
    programs = with_stage_programs(warehouse, key).join(documents, ["doc_id", "doc_hash"], "left_semi")
    columns = programs.select("doc_id", "doc_hash", "program", "status", "margin")
    return columns.mapInPandas(decide, decide.columns)


def with_programs(warehouse: Warehouse, documents: DataFrame, keys: Mapping[Level, ProgramKey]) -> DataFrame:
    """Documents with their stored programs: doc_program, doc_status, doc_margin, and `chunks` in order."""
    if "doc" in keys:
        doc_programs = with_stage_programs(warehouse, keys["doc"]).select(
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
    if "chunk" in keys:
        chunks = (
            with_stage_programs(warehouse, keys["chunk"])
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
