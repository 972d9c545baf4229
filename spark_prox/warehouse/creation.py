"""How a table comes to be: empty, with its properties and constraints, or by its first rows in one commit with them.

Knows how Delta creates tables; knows no warehouse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from spark_prox.config.names import CATALOG_PREFIX, quoted, quoted_name, schema_of
from spark_prox.warehouse.columns import needs_mapping
from spark_prox.warehouse.migrations import VERSION, version_of
from spark_prox.warehouse.schemas import TableSpec

__all__ = ["create_by_rows", "create_empty", "empty_rows", "is_created_by_rows"]

_MAPPING = "delta.columnMapping.mode"


def create_empty(
    spark: SparkSession, spec: TableSpec, user_columns: Sequence[StructField], *, name: str = "", path: str = ""
) -> None:
    """Create a table in one commit, if it is not there.

    Args:
        name: a table of the catalog.
        path: or a folder.
    """
    catalog, name = _split(name)
    with _current_catalog(spark, catalog):
        builder = DeltaTable.createIfNotExists(spark)
        builder = builder.tableName(name) if name else builder.location(path)
        builder = builder.addColumns(_schema(spec, user_columns))
        for key, value in _properties(spec, user_columns).items():
            builder = builder.property(key, value)
        builder.execute()


def create_by_rows(rows: DataFrame, spec: TableSpec, user_columns: Sequence[StructField], path: str) -> None:
    """Create a table of a folder with its first rows, in one commit."""
    schema = _schema(spec, user_columns)
    columns = [
        F.col(quoted(field.name)) if field.name in rows.columns else F.lit(None).cast(field.dataType).alias(field.name)
        for field in schema.fields
    ]
    rows, properties = rows.select(*columns), _properties(spec, user_columns)
    if not all(map(_is_of_delta, properties)):
        creator = rows.writeTo(f"delta.{quoted(path)}").using("delta")
        for key, value in properties.items():
            creator = creator.tableProperty(key, value)
        creator.create()
        return
    writer = rows.write.format("delta").mode("append")
    for key, value in properties.items():
        writer = writer.option(key, value)
    writer.save(path)


def is_created_by_rows(spec: TableSpec, user_columns: Sequence[StructField]) -> bool:
    """True if the first rows can create a table: not with mapped columns, nor if rows are observed, with a version.

    Delta refuses rows in the commit that maps columns of a table with a change feed. A writer that appends passes on
    Delta's properties alone, and one that creates a table loses what Spark observes of the rows.
    """
    names = _properties(spec, user_columns)
    return _MAPPING not in names and (not spec.observed or all(map(_is_of_delta, names)))


def _is_of_delta(name: str) -> bool:
    """True for a property of Delta's own; the version is ours."""
    return name.startswith("delta.")


def empty_rows(spark: SparkSession, spec: TableSpec, user_columns: Sequence[StructField]) -> DataFrame:
    """The rows of a table that has none yet; the filter lets Spark leave them out of every plan."""
    return spark.createDataFrame([], _schema(spec, user_columns)).where("false")


def _split(name: str) -> tuple[str, str]:
    """The catalog of a name of three parts, and the rest: Delta's builder takes two parts and the current catalog."""
    parts = schema_of(CATALOG_PREFIX + name) if name else None
    if parts is None or len(parts) < 3:
        return "", name
    return parts[0], quoted_name(parts[1:])


@contextmanager
def _current_catalog(spark: SparkSession, catalog: str) -> Iterator[None]:
    """Make a catalog the current one for a while; "" leaves it."""
    before = spark.catalog.currentCatalog() if catalog else ""
    if before == catalog:
        yield
        return
    database = spark.catalog.currentDatabase()
    spark.catalog.setCurrentCatalog(catalog)
    try:
        yield
    finally:
        spark.catalog.setCurrentCatalog(before)
        spark.catalog.setCurrentDatabase(database)


def _schema(spec: TableSpec, user_columns: Sequence[StructField]) -> StructType:
    return StructType([*spec.schema.fields, *user_columns])


def _properties(spec: TableSpec, user_columns: Sequence[StructField]) -> dict[str, str]:
    constraints = {f"delta.constraints.{name}": rule for name, rule in spec.constraints.items()}
    properties = {**spec.properties, **constraints}
    if spec.version > version_of(constraints):
        properties[VERSION] = str(spec.version)
    if any(needs_mapping(field) for field in user_columns):
        # Parquet, and so Delta, refuses some characters in names; mapped columns may be called anything.
        properties[_MAPPING] = "name"
    return properties
