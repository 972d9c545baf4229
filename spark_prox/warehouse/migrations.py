"""Named steps that bring tables of earlier versions to what this version writes; their rows are not touched.

A table carries its version as a property, or as a constraint `prox_version_N`, which a table created by its first rows
can have; one without both is of version 1. A step is done again without harm, so that a
job killed in the middle of one loses nothing: the version is the last thing that is written. New tables are created as
the steps leave them, which a test holds. Knows table names as SQL has them, no warehouse.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructField, StructType

from spark_prox.config.names import quoted
from spark_prox.errors import TableError
from spark_prox.warehouse.columns import check_columns
from spark_prox.warehouse.schemas import TEXT_PLACE, TableSpec

__all__ = [
    "MIGRATIONS",
    "VERSION",
    "Migration",
    "check_core",
    "migrate",
    "pending",
    "pending_fields",
    "version_of",
]

VERSION = "spark_prox.schema_version"
VERSION_CONSTRAINT = "delta.constraints.prox_version_"


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step of one table.

    Attributes:
        to: the version it leads to, from the one before.
        columns: Spark DDL of the columns that it adds; null in the rows that are there.
        constraints: names of the `TableSpec.constraints` that it adds, or replaces where the table has another rule.
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


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        name="runs-lineage",
        table="runs",
        to=2,
        why="figures of a stage while it runs, and what a row of `refined` comes from: writers, policy, input",
        columns="planned long, kept long, failed long, tokens_before long, tokens_after long, "
        "writers array<struct<stage:string,model:string,model_revision:string,template:string,template_hash:string,"
        "generation_hash:string>>, policy string, input string",
    ),
    Migration(
        name="documents-html-extract",
        table="documents",
        to=2,
        why="how the page became the text (input.extract); null in older rows, whose text is the whole visible text",
        columns="html_extract string",
        constraints=("prox_version_2",),
    ),
    Migration(
        name="verdicts-program",
        table="verdicts",
        to=2,
        why="the program by which a filter removes lines of a document that it keeps, and the pages that were counted",
        columns="program string, pages long",
        constraints=("prox_version_2",),
    ),
    Migration(
        name="documents-text-place",
        table="documents",
        to=3,
        why="a text may stay in its source (input.copy_text); null in older rows, whose texts were copied",
        columns=f"text_place {TEXT_PLACE}",
        constraints=("prox_text", "prox_version_3"),
    ),
    Migration(
        name="programs-bucket",
        table="programs",
        to=2,
        why="execute reads the programs of its portion alone; null in older rows, which every portion looks at",
        columns="bucket int",
        constraints=("prox_version_2",),
        properties=("delta.dataSkippingStatsColumns",),
    ),
)
"""The steps, each of one table. The first change of a released table adds its step here."""


def version_of(properties: Mapping[str, str]) -> int:
    """A table's version by its properties."""
    said = [name.removeprefix(VERSION_CONSTRAINT) for name in properties if name.startswith(VERSION_CONSTRAINT)]
    return max(int(properties.get(VERSION, "1")), *(int(number) for number in said if number.isdecimal()), 1)


def pending(table: str, version: int) -> list[Migration]:
    """The steps that a table of this version still needs, in order."""
    return sorted((step for step in MIGRATIONS if step.table == table and step.to > version), key=lambda step: step.to)


def pending_fields(table: str, version: int) -> list[StructField]:
    """The columns that those steps add."""
    return [field for step in pending(table, version) for field in step.fields]


def check_core(where: str, spec: TableSpec, properties: Mapping[str, str], fields: Sequence[StructField]) -> None:
    """Compare a table with what this version writes, but for the steps that it still needs.

    Args:
        where: the table, for the message.
        properties, fields: what the table has.

    Raises:
        TableError: TABLE_NEWER; TABLE_SCHEMA, naming the first column that differs.
    """
    version = version_of(properties)
    if version > spec.version:
        raise TableError(
            "TABLE_NEWER",
            f"The table {where!r} was written by a later version of spark_prox (its schema has version {version}, "
            f"this code knows {spec.version}).",
            "Run the later version; a stale zip in --py-files also beats an installed one.",
        )
    later = [field.name for field in pending_fields(spec.name, version)]
    check_columns(where, fields, [field for field in spec.schema.fields if field.name not in later])


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
        there, wanted_rule = properties.get(f"delta.constraints.{constraint}"), spec.constraints[constraint]
        if there is not None and "".join(there.split()) != "".join(wanted_rule.split()):  # Delta spaces it anew
            spark.sql(f"ALTER TABLE {name} DROP CONSTRAINT {quoted(constraint)}")
            there = None
        if there is None:
            spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT {quoted(constraint)} CHECK ({wanted_rule})")
    wanted = {key: spec.properties[key] for key in step.properties}
    if f"prox_version_{step.to}" not in step.constraints:
        wanted[VERSION] = str(step.to)
    if not wanted:
        return
    pairs = ", ".join(f"'{key}' = '{value}'" for key, value in wanted.items())
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({pairs})")
