"""Retry: programs of the current key that failed are asked for again and replaced, each with one attempt more.

An engine is given whole documents, whose other programs stay as they are. What it answers is stored before it is joined
with anything. Knows engines only as the callable it is given.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.errors import ConfigError
from spark_prox.keys import ProgramKey
from spark_prox.spark.counting import count_rows
from spark_prox.stages.guard import PROGRAM_COUNTS
from spark_prox.stages.stored import with_stage_programs
from spark_prox.warehouse.tables import Warehouse

__all__ = ["failed_programs", "parse_codes", "store_answers", "wanted_again"]

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_NOT_FAILED = ("OK", "LINE_TOO_LONG", "TOO_MANY_CHUNKS")  # no model sees these lines: it would be so again


def parse_codes(text: str) -> tuple[str, ...]:
    """The codes of a comma-separated list.

    Raises:
        ConfigError: RETRY_BAD_CODE.
    """
    codes = tuple(code.strip().upper() for code in text.split(","))
    for code in codes:
        if not _CODE.fullmatch(code) or code == "OK":
            raise ConfigError(
                "RETRY_BAD_CODE",
                f"--retry {text!r} names no failure: {code!r}.",
                "Use FAILED, or codes from programs.status and programs.detail, such as ENGINE_FAILED.",
            )
    return codes


def failed_programs(warehouse: Warehouse, key: ProgramKey, codes: tuple[str, ...], candidates: DataFrame) -> DataFrame:
    """The stored programs of a stage that failed with one of the codes, of documents that are there.

    Args:
        codes: FAILED for every failure that another attempt may fix; else a status, or the code that `detail` begins
            with.
        candidates: (doc_id, doc_hash).
    """
    wanted: Column = F.lit(False)
    for code in codes:
        named = (F.col("status") == code) | F.coalesce(F.split("detail", ":", 2)[0] == code, F.lit(False))
        wanted = wanted | (~F.col("status").isin(*_NOT_FAILED) if code == "FAILED" else named)
    return with_stage_programs(warehouse, key).where(wanted).join(candidates, ["doc_id", "doc_hash"], "left_semi")


def wanted_again(warehouse: Warehouse, key: ProgramKey, codes: tuple[str, ...], candidates: DataFrame) -> DataFrame:
    """The documents of failed programs, with how often each chunk was asked for. Arguments as in `failed_programs`,
    but that the candidates have their bucket.

    A document that could not be prompted has one row for all its chunks (`whole`): all that come now are new.
    """
    tries = F.coalesce("attempts", F.lit(1))
    return (
        failed_programs(warehouse, key, codes, candidates)
        .groupBy("doc_id", "doc_hash")
        .agg(
            F.map_from_entries(F.collect_list(F.struct("chunk_index", tries))).alias("tried"),
            F.max(tries).alias("most"),
            F.bool_or(_whole_document_failed()).alias("whole"),
        )
        .join(candidates.select("doc_id", "doc_hash", "bucket"), ["doc_id", "doc_hash"])
    )


def store_answers(
    warehouse: Warehouse, rows: DataFrame, failed: DataFrame, progress: AbstractContextManager[object]
) -> dict[str, int]:
    """Ask, store what comes, then replace the failed programs by it in one commit; gives `PROGRAM_COUNTS` of that.

    Args:
        rows: of `programs`, of whole documents; computed once.
        failed: stored rows of `wanted_again`.
    """
    with warehouse.staged(rows, "answers", progress) as answers:
        replacing = _replacing(answers, failed)
        counts = count_rows(replacing, PROGRAM_COUNTS)
        warehouse.upsert("programs", replacing)
        return counts


def _replacing(answers: DataFrame, failed: DataFrame) -> DataFrame:
    """The answers that replace a failed program, each with its number of attempts."""
    before = F.col("tried")[F.col("chunk_index")]
    replaces = F.when(F.col("whole"), F.lit(True)).otherwise(before.isNotNull() & ~_whole_document_failed())
    return (
        answers.join(failed.drop("bucket"), ["doc_id", "doc_hash"])
        .where(replaces)
        .withColumn("attempts", (F.coalesce(before, "most") + 1).cast("int"))
        .drop("tried", "most", "whole")
        .select(*answers.columns)
    )


def _whole_document_failed() -> Column:
    """True if the row stands for a document whose chunks could not be told; one chunk of several fails alone."""
    return (F.col("status") == "PROMPT_FAILED") & (F.col("chunk_count") == 1)
