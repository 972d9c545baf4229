"""A warehouse as a person in a notebook wants it: tables and the queries of the reports, as lazy DataFrames.

Reads only, on classic sessions and on Spark Connect.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_prox.report.queries import by_code, by_host, by_outcome, by_status, latest_settings
from spark_prox.warehouse.reader import WarehouseReader
from spark_prox.warehouse.schemas import TABLES

__all__ = ["Corpus"]


class Corpus:
    """The tables of a warehouse, and what the reports ask of them.

    Every property and query raises TableError (TABLE_MISSING, TABLE_NEWER, TABLE_SCHEMA) where its table does not do.
    """

    def __init__(self, spark: SparkSession, warehouse: str) -> None:
        self._spark = spark
        self._reader = WarehouseReader(spark, warehouse)

    def __repr__(self) -> str:
        return f"Corpus({self._reader.location!r})"

    @property
    def documents(self) -> DataFrame:
        """Documents: text, url, hash, origin, the user's own columns."""
        return self.table("documents")

    @property
    def programs(self) -> DataFrame:
        """Programs: one for each document of the document level and each chunk of the chunk level."""
        return self.table("programs")

    @property
    def refined(self) -> DataFrame:
        """Refined documents: text (null when dropped), outcome, reason, edits, counts."""
        return self.table("refined")

    @property
    def rejects(self) -> DataFrame:
        """Records that are no document, and documents that could not be refined, each with a code."""
        return self.table("rejects")

    @property
    def verdicts(self) -> DataFrame:
        """Verdicts of the filters before the model."""
        return self.table("verdicts")

    @property
    def annotations(self) -> DataFrame:
        """Labels of documents and chunks."""
        return self.table("annotations")

    @property
    def runs(self) -> DataFrame:
        """Stages of the runs: configuration, documents, tokens, seconds, versions."""
        return self.table("runs")

    def table(self, name: str) -> DataFrame:
        """A table by its name."""
        return self._reader.read(name)

    def tables(self) -> list[str]:
        """Names of the tables that are there."""
        return [name for name in TABLES if self._reader.exists(name)]

    def outcomes(self, settings: str | None = None) -> DataFrame:
        """Documents, lines, words and tokens before and after, by outcome and reason.

        Args:
            settings: a `settings_hash`; None for that of the row that was refined last.
        """
        return by_outcome(self.refined, settings or latest_settings(self.refined))

    def rejected(self) -> DataFrame:
        """Rejects by code and stage."""
        return by_code(self.rejects)

    def statuses(self) -> DataFrame:
        """Programs by level, model and status, with their tokens."""
        return by_status(self.programs)

    def hosts(self) -> DataFrame:
        """Hosts by the share of their words that was removed."""
        return by_host(self.refined)

    def sql(self, query: str) -> DataFrame:
        """The answer to a query that names the tables: `SELECT outcome, count(*) FROM refined GROUP BY outcome`.

        Makes a temporary view of each table in the session.
        """
        for name in self.tables():
            self.table(name).createOrReplaceTempView(name)
        return self._spark.sql(query)
