"""Reads the tables of a warehouse and nothing more: without a JVM at hand, without the lease, without a write.

For notebooks, also over Spark Connect, where `spark_prox.warehouse.tables` has nothing to stand on. Knows tables by
their name or path and what this version writes.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.names import quoted, quoted_name, schema_of
from spark_prox.errors import TableError
from spark_prox.spark.session import delta_missing
from spark_prox.warehouse.migrations import VERSION, check_core, pending_fields, version_of
from spark_prox.warehouse.schemas import TABLES

__all__ = ["WarehouseReader"]


class WarehouseReader:
    """The tables of one corpus, for reading.

    Args:
        location: a directory, a URI or `catalog:<schema>`. A relative directory is this process's, or else the file
            system's of the session.

    Raises:
        ConfigError: WAREHOUSE_BAD_NAME.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self.spark = spark
        schema = schema_of(location)
        self._schema = None if schema is None else quoted_name(schema)
        self.location = location.rstrip("/") or "/"
        if schema is None and "://" not in location and Path(location).is_dir():
            self.location = str(Path(location).absolute())  # SQL takes no relative path

    def name(self, table: str) -> str:
        """The name of a table in SQL: `schema`.`table`, or delta.`path`."""
        if self._schema is not None:
            return f"{self._schema}.{quoted(table)}"
        return f"delta.{quoted(self._path(table))}"

    def where(self, table: str) -> str:
        """The place where a person finds a table."""
        return self.name(table).replace("`", "") if self._schema is not None else self._path(table)

    def exists(self, table: str) -> bool:
        """True if the table is there, as a Delta table."""
        return self._found(table) is not None

    def read(self, table: str) -> DataFrame:
        """The table as a DataFrame; what an older one lacks is null.

        Raises:
            SetupError: DELTA_MISSING.
            TableError: TABLE_MISSING; TABLE_NEWER and TABLE_SCHEMA where another version wrote it.
        """
        if table not in TABLES:
            raise TableError("TABLE_MISSING", f"No table is called {table[:80]!r}.", f"There are {', '.join(TABLES)}.")
        rows = self._found(table)
        if rows is None:
            raise TableError(
                "TABLE_MISSING",
                f"There is no table {self.where(table)!r}.",
                "Check the warehouse, or run the job that writes it; the session needs Delta.",
            )
        properties = self._properties(table)
        check_core(self.where(table), TABLES[table], properties, rows.schema.fields)
        later = [field for field in pending_fields(table, version_of(properties)) if field.name not in rows.columns]
        missing = {field.name: F.lit(None).cast(field.dataType) for field in later}
        return rows.withColumns(missing) if missing else rows  # Spark Connect takes no empty list

    def _found(self, table: str) -> DataFrame | None:
        try:
            if self._schema is not None:
                rows = self.spark.table(self.name(table))
            else:
                rows = self.spark.read.format("delta").load(self._path(table))
            _ = rows.schema  # Spark Connect looks only now
        except PySparkException as error:
            condition = error.getCondition() or ""
            if condition.startswith(_MISSING) or "is not a Delta table" in str(error):
                return None
            if condition in _NO_DELTA:
                raise delta_missing() from None
            raise
        return rows

    def _properties(self, table: str) -> dict[str, str]:
        """The table's version among them, where it has one."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.name(table)}").where(F.col("key") == VERSION).collect()
        return {row["key"]: row["value"] for row in rows}

    def _path(self, table: str) -> str:
        return f"{self.location}/{table}"


_NO_DELTA = ("DATA_SOURCE_NOT_FOUND", "DELTA_CONFIGURE_SPARK_SESSION_WITH_EXTENSION_AND_CATALOG")
_MISSING = ("DELTA_TABLE_NOT_FOUND", "DELTA_MISSING", "TABLE_OR_VIEW_NOT_FOUND", "PATH_NOT_FOUND", "DELTA_PATH")
