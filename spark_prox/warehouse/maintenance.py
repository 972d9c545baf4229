"""Keep the tables quick to read and small to store: fewer and larger files, no files of old versions, no programs that
nobody will apply again.

Plain OPTIMIZE packs files by their size and so mixes their ranges of `documents.bucket`, by which a batch of a stage
finds its files: tables with an order are sorted by it instead. No query's answer changes. Knows no models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.errors import ConfigError, TableError
from spark_prox.keys import ProgramKey
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.scratch import hadoop_path
from spark_prox.warehouse.tables import Warehouse

__all__ = ["SAFE_RETENTION_HOURS", "Maintenance", "TableSize"]

SAFE_RETENTION_HOURS = 168
"""Delta's week: a query or a consumer of the change feed that started within it still finds its files."""

_CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_KEEPS_ROWS = {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT", "ADD COLUMNS"}
_KEY_COLUMNS = ["stage", "model_revision", "template_hash", "generation_hash"]


class TableSize(NamedTuple):
    """Files and bytes of a table's present version, and the bytes below its folder with old versions and the log."""

    files: int
    bytes: int
    stored: int


class Maintenance:
    """Work on the tables of one warehouse; those that are not there are left out.

    Args:
        tables: which.

    Raises:
        ConfigError: TABLE_UNKNOWN.
    """

    def __init__(self, spark: SparkSession, warehouse: Warehouse, tables: Sequence[str]) -> None:
        for name in tables:
            if name not in TABLES:
                raise ConfigError("TABLE_UNKNOWN", f"There is no table {name!r}.", f"Valid: {', '.join(TABLES)}.")
        self._spark = spark
        self._warehouse = warehouse
        self.tables = [name for name in tables if warehouse.exists(name)]

    def check_retention(self, hours: int, *, short: bool) -> None:
        """Refuse to delete files that may still be read.

        Args:
            hours: how long replaced files stay.
            short: fewer than `SAFE_RETENTION_HOURS` are allowed.

        Raises:
            TableError: RETENTION_SHORT.
        """
        if hours < SAFE_RETENTION_HOURS and not short:
            raise TableError(
                "RETENTION_SHORT",
                f"Files replaced {hours} hours ago may still be read: by queries, by consumers of the change feed.",
                f"Keep at least {SAFE_RETENTION_HOURS} hours, or add --short-retention if nobody reads these tables.",
            )

    def sizes(self) -> dict[str, TableSize]:
        """How large each table is."""
        found = {}
        for name in self.tables:
            row = self._spark.sql(f"DESCRIBE DETAIL {self._warehouse.name(name)}").first()
            assert row is not None
            files, path = hadoop_path(self._spark, row["location"])
            stored = int(files.getContentSummary(path).getLength())
            found[name] = TableSize(row["numFiles"], row["sizeInBytes"], stored)
        return found

    def optimize(self) -> list[str]:
        """Pack small files into large ones, in the table's order where it has one; one commit for each table.

        Sorting rewrites a whole table, so one from which no row has come or gone since the last time is left out.

        Returns:
            The tables that were worked on.
        """
        done = [name for name, size in self.sizes().items() if size.files > 1 and self._changed(name)]
        for name in done:
            order = TABLES[name].order
            with self._warehouse.commit(name):
                sort = f" ZORDER BY ({', '.join(order)})" if order else ""
                self._spark.sql(f"OPTIMIZE {self._warehouse.name(name)}{sort}")
        return done

    def vacuum(self, hours: int, *, short: bool) -> None:
        """Delete the files of versions that were replaced longer ago than `hours`; see `check_retention`."""
        self.check_retention(hours, short=short)
        # VACUUM lists a folder with as many tasks as Spark may start for thousands of folders, 10,000 by default. Our
        # tables have no partition folders: one task finds all there is.
        listing = str(self._spark.sparkContext.defaultParallelism)
        with self._settings({_CHECK: str(not short).lower(), _LISTING_TASKS: listing}):
            for name in self.tables:
                with self._warehouse.commit(name):
                    self._spark.sql(f"VACUUM {self._warehouse.name(name)} RETAIN {hours} HOURS")

    def superseded(self, keys: Sequence[ProgramKey]) -> DataFrame:
        """How many programs no stage will apply again: stage, model, model_revision, why, count.

        Args:
            keys: of the stages that are on; programs of their stages under other keys are superseded.
        """
        documents = self._warehouse.read("documents").select("doc_id", "doc_hash", F.lit(True).alias("present"))
        programs = self._warehouse.read("programs").join(documents, ["doc_id", "doc_hash"], "left")
        why = F.when(F.col("present").isNull(), "document gone or changed").when(
            F.expr(_other_key(keys)), "other model, template or parameters"
        )
        columns = ["stage", "model", "model_revision", "why"]
        return programs.withColumn("why", why).where("why IS NOT NULL").groupBy(*columns).count().orderBy(*columns)

    def purge_programs(self, keys: Sequence[ProgramKey]) -> None:
        """Delete what `superseded` counts, in two commits."""
        documents = self._warehouse.read("documents").select("doc_id", "doc_hash")
        programs = self._warehouse.read("programs")
        gone = programs.select("doc_id", "doc_hash").distinct().join(documents, ["doc_id", "doc_hash"], "left_anti")
        self._warehouse.delete("programs", gone, ["doc_id", "doc_hash"])
        others = programs.where(_other_key(keys)).select(*_KEY_COLUMNS).distinct()
        self._warehouse.delete("programs", others, _KEY_COLUMNS)

    @contextmanager
    def _settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """The session with other settings, for a while."""
        conf = self._spark.conf
        before = {key: conf.get(key, None) for key in settings}
        for key, value in settings.items():
            conf.set(key, value)
        try:
            yield
        finally:
            for key, old in before.items():
                if old is None:
                    conf.unset(key)
                else:
                    conf.set(key, old)

    def _changed(self, table: str) -> bool:
        """True if rows may have come or gone since the table was last optimized."""
        history = self._spark.sql(f"DESCRIBE HISTORY {self._warehouse.name(table)} LIMIT 100").collect()
        since = [row["operation"] for row in history]
        return "OPTIMIZE" not in since or not _KEEPS_ROWS.issuperset(since[: since.index("OPTIMIZE")])


def _other_key(keys: Sequence[ProgramKey]) -> str:
    """SQL: the row belongs to the stage of one of the keys, and not to that key."""
    rules = []
    for key in keys:
        same = " AND ".join(f"{name} = '{value}'" for name, value in key.deciding().items())
        rules.append(f"(stage = '{key.stage}' AND NOT ({same}))")
    return " OR ".join(rules) or "false"
