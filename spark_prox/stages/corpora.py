"""The four corpora that ProX compares, as rows: raw, after rules, after the document level, after both levels.

Rows have doc_id, text, url, source, crawl, tokens, and the user's columns as c0, c1, ... Knows no split and no format.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from spark_prox.config.export import ExportConfig
from spark_prox.config.names import quoted
from spark_prox.errors import ConfigError, TableError
from spark_prox.export.functions import ExportFunctions
from spark_prox.export.text_formats import OWN_NAMES
from spark_prox.filters import REPEATED_LINES
from spark_prox.stages.verdicts import counting, last_filters
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import whole_texts
from spark_prox.warehouse.versions import at_version

__all__ = [
    "DROPPED_BEFORE_CHUNKS",
    "chosen_columns",
    "corpus_rows",
    "described_tables",
    "filters_of",
    "rules_of",
    "text_tables",
]

DROPPED_BEFORE_CHUNKS = ("DROP_CALL", "FILTERED")
"""`refined.doc_reason` of documents that the document level or a filter drops."""
_ID = ["doc_id", "doc_hash"]
_COLUMNS = ("doc_id", "text", "url", "source", "crawl")


def filters_of(warehouse: Warehouse, config: ExportConfig) -> dict[str, str]:
    """The filters whose verdicts count for a corpus, with their hashes: those of the warehouse's last run."""
    if rules_of(warehouse, config) == "verdicts":
        return last_filters(warehouse)
    if config.corpus == "doc" and warehouse.exists("verdicts"):  # `refined` says what filters dropped, not their lines
        return {name: value for name, value in last_filters(warehouse).items() if name == REPEATED_LINES}
    return {}


def rules_of(warehouse: Warehouse, config: ExportConfig) -> str:
    """The meaning of `--from rules` for a warehouse: `verdicts`, or the name of a rule set; "" for the other corpora.

    Raises:
        TableError: TABLE_MISSING, EXPORT_NO_FILTERS.
    """
    if config.corpus != "rules":
        return ""
    if config.rules not in ("auto", "verdicts"):
        return config.rules
    exists = warehouse.exists("verdicts")
    if exists and last_filters(warehouse):
        return "verdicts"
    if config.rules == "verdicts":
        raise TableError(
            "EXPORT_NO_FILTERS" if exists else "TABLE_MISSING",
            "No filter was on in the last run, so no verdict counts."
            if exists
            else f"There is no table {warehouse.where('verdicts')!r}.",
            "Run a job with filters first, or apply a rule set: --set export.rules=c4",
        )
    return "c4"


def text_tables(warehouse: Warehouse, config: ExportConfig) -> list[str]:
    """The tables that decide the text of a corpus."""
    if config.corpus in ("doc", "chunk"):
        edited = REPEATED_LINES in filters_of(warehouse, config)
        return ["documents", "refined", *(["verdicts"] if edited else [])]
    return ["documents", "verdicts"] if rules_of(warehouse, config) == "verdicts" else ["documents"]


def described_tables(warehouse: Warehouse, config: ExportConfig) -> list[str]:
    """The same, and those of which only the manifest and the card speak."""
    names = text_tables(warehouse, config)
    others = ["programs" if "refined" in names else "refined"]
    if config.corpus != "raw" and "verdicts" not in names:
        others.append("verdicts")
    return names + [name for name in others if warehouse.exists(name)]


def chosen_columns(warehouse: Warehouse, config: ExportConfig) -> list[StructField]:
    """The configured columns.

    Raises:
        ConfigError: EXPORT_UNKNOWN_COLUMN.
    """
    fields = {field.name: field for field in warehouse.read("documents").schema.fields}
    for name in config.columns:
        if name not in fields or name in _COLUMNS:
            near = difflib.get_close_matches(
                name, [other for other in fields if other not in _COLUMNS], n=3, cutoff=0.4
            )
            raise ConfigError(
                "EXPORT_UNKNOWN_COLUMN",
                f"export.columns names {name[:80]!r}, which `documents` does not have beside {', '.join(_COLUMNS)}.",
                f"Nearest: {', '.join(near)}." if near else "See DESCRIBE documents.",
            )
        if name in OWN_NAMES:
            raise ConfigError(
                "EXPORT_UNKNOWN_COLUMN",
                f"export.columns names {name[:80]!r}, which is the name of a column that every export has.",
                "Leave it out, or give the table another name for it.",
            )
    return [fields[name] for name in dict.fromkeys(config.columns)]


def corpus_rows(
    spark: SparkSession,
    warehouse: Warehouse,
    config: ExportConfig,
    versions: Mapping[str, int],
    functions: ExportFunctions,
    filters: Mapping[str, str],
) -> DataFrame:
    """The rows of a corpus.

    Args:
        versions: of the tables to read.
        filters: see `filters_of`.
    """

    def table(name: str) -> DataFrame:
        return at_version(spark, warehouse, name, versions[name])

    own = chosen_columns(warehouse, config)
    documents = table("documents")
    unknown = F.lit(None).cast("long")
    if config.corpus != "chunk":
        documents = whole_texts(warehouse, documents)
    if config.corpus == "raw":
        return documents.select(*_selected(documents, own, tokens=unknown))
    if config.corpus == "rules":
        rules = rules_of(warehouse, config)
        if rules == "verdicts":
            verdicts = counting(table("verdicts"), filters)
            documents = documents.join(verdicts.where("verdict = 'drop'").select(*_ID), _ID, "left_anti")
            return _without_lines(documents.withColumn("tokens", unknown), verdicts, own, functions)
        rows = documents.select(*_selected(documents, own, tokens=unknown))
        return rows.mapInArrow(functions.apply_rules(rules=rules), rows.schema)
    refined = table("refined")
    if config.corpus == "doc":
        kept = refined.where(~F.col("doc_reason").isin(*DROPPED_BEFORE_CHUNKS)).select(*_ID, "tokens_before")
        rows = documents.join(kept.withColumnRenamed("tokens_before", "tokens"), _ID)
        if REPEATED_LINES in filters:
            return _without_lines(rows, counting(table("verdicts"), filters), own, functions)
        return rows.select(*_selected(rows, own, tokens=F.col("tokens")))
    kept = refined.where("text IS NOT NULL").select(*_ID, F.col("text").alias("refined_text"), "tokens_after")
    rows = (
        documents.drop("text").withColumn("text", F.lit("")).join(kept, _ID).withColumn("text", F.col("refined_text"))
    )
    return rows.select(*_selected(rows, own, tokens=F.col("tokens_after")))


def _without_lines(
    documents: DataFrame, verdicts: DataFrame, own: Sequence[StructField], functions: ExportFunctions
) -> DataFrame:
    """Documents (with tokens) without the lines that a filter's program removes; their tokens are unknown then."""
    writing = verdicts.where("program IS NOT NULL").select(*_ID, "program") if "program" in verdicts.columns else None
    if writing is None:
        return documents.select(*_selected(documents, own, tokens=F.col("tokens")))
    rows = documents.join(writing.withColumnRenamed("program", "line_program"), _ID, "left")
    tokens = F.when(F.col("line_program").isNull(), F.col("tokens"))
    chosen = rows.select(*_selected(rows, own, tokens=tokens), "line_program")
    return chosen.mapInArrow(functions.remove_lines(), chosen.drop("line_program").schema)


def _selected(rows: DataFrame, own: Sequence[StructField], *, tokens: Column) -> list[Column]:
    named = [F.col(quoted(field.name)).alias(f"c{number}") for number, field in enumerate(own)]
    return [*(F.col(name) for name in _COLUMNS), tokens.alias("tokens"), *named]
