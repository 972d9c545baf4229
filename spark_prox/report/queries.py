"""The queries of the reports, as DataFrames: what a person counts in the tables of a run.

Takes tables as DataFrames, whoever read them, and runs nothing.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

__all__ = ["by_code", "by_host", "by_outcome", "by_status", "latest_settings"]


def by_outcome(refined: DataFrame, settings: str | Column) -> DataFrame:
    """Documents, lines, words and tokens before and after, by outcome and reason.

    Args:
        settings: the `settings_hash` of the rows that count.
    """
    return (
        refined.where(F.col("settings_hash") == settings)
        .groupBy("outcome", "reason")
        .agg(
            F.count("*").alias("documents"),
            F.sum("lines_before").alias("lines_before"),
            F.sum("lines_after").alias("lines_after"),
            F.sum("words_before").alias("words_before"),
            F.sum("words_after").alias("words_after"),
            F.sum("tokens_before").alias("tokens_before"),
            F.sum("tokens_after").alias("tokens_after"),
        )
        .orderBy("outcome", "reason")
    )


def latest_settings(refined: DataFrame) -> Column:
    """The `settings_hash` of the row that was refined last, as a subquery."""
    return refined.select(F.max_by("settings_hash", "refined_at")).scalar()


def by_code(rejects: DataFrame) -> DataFrame:
    """Records that are no document and documents that failed, by code and stage."""
    return rejects.groupBy("code", "stage").count().orderBy("code", "stage")


def by_status(programs: DataFrame) -> DataFrame:
    """Programs by level, model and status, with their tokens."""
    return (
        programs.groupBy("stage", "model", "model_revision", "status")
        .agg(
            F.count("*").alias("programs"),
            F.sum("prompt_tokens").alias("prompt_tokens"),
            F.sum("output_tokens").alias("output_tokens"),
        )
        .orderBy("stage", "model", "status")
    )


def by_host(refined: DataFrame) -> DataFrame:
    """Documents of each host and the share of their words that was removed, most first."""
    removed = F.round(1 - F.sum("words_after") / F.sum("words_before"), 2)
    return (
        refined.groupBy(F.regexp_extract("url", "^[a-z]+://([^/:]+)", 1).alias("host"))
        .agg(F.count("*").alias("documents"), removed.alias("share_removed"))
        .orderBy(F.desc("share_removed"), "host")
    )
