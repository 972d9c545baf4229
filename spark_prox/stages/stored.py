"""The stored programs as stages read them: those that count, the documents they keep, and both joined to execute them.

Knows no stage.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.documents import Level
from spark_prox.functions import PandasFunction
from spark_prox.keys import ProgramKey
from spark_prox.warehouse.tables import Warehouse

__all__ = ["PROGRAM_COLUMNS", "kept_documents", "marked_done", "used_programs", "with_programs", "with_stage_programs"]

PROGRAM_COLUMNS = ("doc_program", "doc_status", "doc_margin", "chunks")
"""What `with_programs` adds."""

_CHUNK = "struct(chunk_index, chunk_count, first_line, line_count, program, status, line_margins)"
_CHUNKS = (
    "array<struct<chunk_index:int,chunk_count:int,first_line:int,line_count:int,program:string,status:string,"
    "line_margins:array<float>>>"
)


def with_stage_programs(warehouse: Warehouse, key: ProgramKey) -> DataFrame:
    """The stored programs under one key."""
    return used_programs(warehouse, [key])


def used_programs(warehouse: Warehouse, keys: Iterable[ProgramKey]) -> DataFrame:
    """The stored programs under one of the keys, in one scan of the table."""
    return warehouse.read("programs").where(reduce(operator.or_, map(_is_under, keys), F.lit(False)))


def marked_done(rows: DataFrame, stored: DataFrame) -> DataFrame:
    """Rows (doc_id, doc_hash) with `done`: true where one of `stored` is of the same document, else null.

    Repeated rows of `stored` do no harm, and are not grouped for that.
    """
    same = (F.col(f"stored.{name}") == F.col(f"rows.{name}").outer() for name in ("doc_id", "doc_hash"))
    is_stored = stored.alias("stored").where(reduce(operator.and_, same)).exists()
    return rows.alias("rows").withColumn("done", F.when(is_stored, True))


def kept_documents(
    warehouse: Warehouse, documents: DataFrame, key: ProgramKey | None, decide: PandasFunction
) -> DataFrame:
    """(doc_id, doc_hash, bucket) of the documents that the document level keeps; all of them when it is off.

    Args:
        documents: (doc_id, doc_hash, bucket) of those to look at.
        key: the document level's; None when it is off.
        decide: see `Functions.decide_documents`.
    """
    if key is None:
        return documents
    programs = with_stage_programs(warehouse, key).select("doc_id", "doc_hash", "program", "status", "margin")
    return programs.join(documents, ["doc_id", "doc_hash"]).mapInPandas(decide, decide.columns)


def _is_under(key: ProgramKey) -> Column:
    return reduce(operator.and_, (F.col(name) == value for name, value in key.deciding().items()))


def with_programs(documents: DataFrame, programs: DataFrame, keys: Mapping[Level, ProgramKey]) -> DataFrame:
    """Documents with their stored programs: doc_program, doc_status, doc_margin, and `chunks` in order.

    One scan of `programs` and one shuffle serve both levels. Of rows with one key, which a retried write could leave,
    one counts.

    Args:
        programs: of `used_programs` under the keys, of these documents at least.
    """
    off = {
        "doc_program": "'keep_doc()'",
        "doc_status": "'OFF'",
        "doc_margin": "cast(NULL AS double)",
        "chunks": f"cast(array() AS {_CHUNKS})",
    }
    made: dict[str, str] = {}
    if "doc" in keys:
        doc = "first(struct(program, status, margin)) FILTER (WHERE stage = 'doc')"
        made |= {f"doc_{name}": f"({doc}).{name}" for name in ("program", "status", "margin")}
    if "chunk" in keys:
        made["chunks"] = f"array_sort(collect_list({_CHUNK}) FILTER (WHERE stage = 'chunk'))"
    if made:
        aggregated = (F.expr(sql).alias(name) for name, sql in made.items())
        programs = programs.groupBy("doc_id", "doc_hash").agg(*aggregated)
        if "chunks" in made:
            again = "filter(chunks, (chunk, at) -> at = 0 OR chunk.chunk_index <> chunks[at - 1].chunk_index)"
            # None at all is no list: the document has no program of the chunk level.
            programs = programs.withColumn("chunks", F.expr(f"nullif({again}, cast(array() AS {_CHUNKS}))"))
        documents = documents.join(programs, ["doc_id", "doc_hash"], "left")
    return documents.withColumns({name: F.expr(sql) for name, sql in off.items() if name not in made})
