"""The versions of tables: the present one, and the rows of an earlier one, so that a job reads one state throughout.

Knows no table's columns.
"""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from spark_prox.errors import TableError
from spark_prox.warehouse.tables import Warehouse

__all__ = ["at_version", "version_of"]


def version_of(spark: SparkSession, warehouse: Warehouse, table: str) -> int:
    """The number of a table's last commit.

    Raises:
        TableError: TABLE_MISSING.
    """
    warehouse.read(table)  # says what is missing
    row = spark.sql(f"DESCRIBE HISTORY {warehouse.name(table)} LIMIT 1").first()
    assert row is not None
    return int(row["version"])


def at_version(spark: SparkSession, warehouse: Warehouse, table: str, version: int) -> DataFrame:
    """A table as one of its commits left it.

    Raises:
        TableError: TABLE_VERSION_GONE.
    """
    try:
        return spark.sql(f"SELECT * FROM {warehouse.name(table)} VERSION AS OF {int(version)}")
    except PySparkException:
        raise TableError(
            "TABLE_VERSION_GONE",
            f"Version {version} of {warehouse.where(table)!r} cannot be read any more.",
            "It was cleaned away, or the table was made anew: start over from the present version.",
        ) from None
