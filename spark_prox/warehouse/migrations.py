"""Named steps that bring tables of earlier versions to what this version writes; their rows are not touched.

A table carries its version as a property; one without it is of version 1. A step is done again without harm, so that a
job killed in the middle of one loses nothing: the version is the last thing that is written. New tables are created as
the steps leave them, which a test holds. Knows table names as SQL has them, no warehouse.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType

from spark_prox.config.names import quoted
from spark_prox.errors import TableError
from spark_prox.warehouse.schemas import TableSpec

__all__ = ["MIGRATIONS", "VERSION", "Migration", "migrate", "pending", "pending_fields", "version_of"]

VERSION = "spark_prox.schema_version"


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step of one table.

    Attributes:
        to: the version it leads to, from the one before.
        columns: Spark DDL of the columns that it adds; null in the rows that are there.
        constraints: names of the `TableSpec.constraints` that it adds.
        properties: names of the `TableSpec.properties` that it sets.
    """

    name: str
    table: str
    to: int
    why: str
    columns: str = ""
    constraints: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    @property
    def fields(self) -> list[StructField]:
        """The columns that it adds."""
        parsed = StructType.fromDDL(self.columns) if self.columns else StructType()
        assert isinstance(parsed, StructType)
        return parsed.fields


_LAYOUT = "delta.dataSkippingStatsColumns"
_WHY = "rows that cannot be are refused when they are written; statistics of the columns that queries and stages select"

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        name="documents-constraints",
        table="documents",
        to=2,
        why=_WHY + "; two ingests at once cannot store a document twice",
        constraints=("prox_key", "prox_text", "prox_bucket"),
        properties=(_LAYOUT, "delta.isolationLevel"),
    ),
    Migration(
        name="programs-attempts",
        table="programs",
        to=2,
        why="how often a program was asked for; null, in older rows, means once",
        columns="attempts int",
    ),
    Migration(
        name="programs-constraints",
        table="programs",
        to=3,
        why=_WHY,
        constraints=("prox_key", "prox_stage", "prox_status", "prox_attempts"),
        properties=(_LAYOUT,),
    ),
    Migration(
        name="refined-constraints",
        table="refined",
        to=2,
        why=_WHY + "; two runs at once cannot store a document twice",
        constraints=("prox_key", "prox_outcome", "prox_dropped", "prox_settings"),
        properties=(_LAYOUT, "delta.isolationLevel"),
    ),
    Migration(
        name="rejects-constraints",
        table="rejects",
        to=2,
        why=_WHY,
        constraints=("prox_key", "prox_code"),
        properties=(_LAYOUT,),
    ),
    Migration(
        name="runs-guard",
        table="runs",
        to=2,
        why="what the guard rails counted, for later runs to compare with; null in older rows",
        columns="guard map<string,double>",
    ),
    Migration(name="runs-constraints", table="runs", to=3, why=_WHY, constraints=("prox_key",), properties=(_LAYOUT,)),
)


def version_of(properties: Mapping[str, str]) -> int:
    """A table's version by its properties."""
    return int(properties.get(VERSION, "1"))


def pending(table: str, version: int) -> list[Migration]:
    """The steps that a table of this version still needs, in order."""
    return sorted((step for step in MIGRATIONS if step.table == table and step.to > version), key=lambda step: step.to)


def pending_fields(table: str, version: int) -> list[StructField]:
    """The columns that those steps add."""
    return [field for step in pending(table, version) for field in step.fields]


def migrate(
    spark: SparkSession, name: str, spec: TableSpec, properties: Mapping[str, str], columns: Collection[str]
) -> list[str]:
    """Do what is pending.

    Args:
        name: the table, as SQL names it.
        properties, columns: what the table has.

    Returns:
        The names of the steps.

    Raises:
        TableError: MIGRATION_FAILED; done steps stay, and the next run goes on.
    """
    done = []
    for step in pending(spec.name, version_of(properties)):
        try:
            _apply(spark, name, spec, step, properties, columns)
        except PySparkException as error:
            raise TableError(
                "MIGRATION_FAILED",
                f"Migration {step.name!r} of {name} failed ({error.getCondition() or type(error).__name__}).",
                "No row was changed. Mend the table's rows or its permissions and run again.",
            ) from error
        done.append(step.name)
    return done


def _apply(
    spark: SparkSession,
    name: str,
    spec: TableSpec,
    step: Migration,
    properties: Mapping[str, str],
    columns: Collection[str],
) -> None:
    missing = [field for field in step.fields if field.name not in columns]
    if missing:
        added = ", ".join(f"{quoted(field.name)} {field.dataType.simpleString()}" for field in missing)
        spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({added})")
    for constraint in step.constraints:
        if f"delta.constraints.{constraint}" not in properties:
            spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT {quoted(constraint)} CHECK ({spec.constraints[constraint]})")
    wanted = {key: spec.properties[key] for key in step.properties} | {VERSION: str(step.to)}
    pairs = ", ".join(f"'{key}' = '{value}'" for key, value in wanted.items())
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({pairs})")
