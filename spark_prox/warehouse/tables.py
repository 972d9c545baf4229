"""Reading and writing the Delta tables of one warehouse.

A warehouse is a directory or URI (tables at `<warehouse>/<table>`) or a schema of the catalog (`catalog:<schema>`,
tables `<schema>.<table>`). Every write is one Delta commit, before which a job looks whether it still holds the lease.
Knows nothing of models or stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from spark_prox.config.lease import LeaseConfig
from spark_prox.config.names import quoted, quoted_name, schema_of
from spark_prox.errors import TableError
from spark_prox.warehouse.columns import check_columns, needs_mapping
from spark_prox.warehouse.lease import Lease, hold
from spark_prox.warehouse.migrations import VERSION, migrate, pending_fields, version_of
from spark_prox.warehouse.schemas import TABLES, TableSpec
from spark_prox.warehouse.scratch import Scratch, hadoop_path, java_name, lease_files, reason_of

__all__ = ["Warehouse"]

_CONFLICTS = {
    "ConcurrentAppendException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentDeleteReadException",
    "ConcurrentWriteException",
    "MetadataChangedException",
    "ProtocolChangedException",
}


class Warehouse:
    """The tables of one corpus.

    Attributes:
        lease: held by a job that writes; None for one that reads.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self._spark = spark
        schema = schema_of(location)
        self._schema = None if schema is None else quoted_name(schema)
        self.location = location if self._schema is not None else self._absolute(location)
        self._scratch = Scratch(spark, None if self._schema is not None else self.location, self._schema)
        self.lease: Lease | None = None
        self._checked: set[str] = set()

    def open_for_writing(self, settings: LeaseConfig, job: str) -> list[str]:
        """Take the lease; then bring older tables to this version and delete what killed jobs left.

        Does nothing when this process holds it already.

        Args:
            job: what other jobs are told of this one.

        Returns:
            The names of the migrations that were done.

        Raises:
            TableError: WAREHOUSE_BUSY, TABLE_NEWER, TABLE_SCHEMA, MIGRATION_FAILED.
        """
        files = lease_files(self._spark, settings.path or self._scratch.lease_folder())
        self.lease, taken = hold(files, settings, job, on_lost=self._spark.sparkContext.cancelAllJobs)
        if not taken:
            return []
        self.check_schemas()  # again: another job may have changed them until a moment ago
        done = []
        for spec in TABLES.values():
            if self.exists(spec.name):
                with self.commit(spec.name):
                    done += migrate(
                        self._spark, self.name(spec.name), spec, self._properties(spec.name), self._columns(spec.name)
                    )
        self._scratch.delete_leftovers()
        return done

    def name(self, table: str) -> str:
        """How SQL names a table: `schema`.`table`, or delta.`path`."""
        if self._schema is not None:
            return self._listed(table)
        return f"delta.{quoted(self._path(table))}"

    def where(self, table: str) -> str:
        """Where a person finds a table."""
        return self._listed(table).replace("`", "") if self._schema is not None else self._path(table)

    def exists(self, table: str) -> bool:
        """Whether the table is there, as a Delta table."""
        if self._schema is not None:
            return self._spark.catalog.tableExists(self._listed(table))
        return bool(DeltaTable.isDeltaTable(self._spark, self._path(table)))

    def read(self, table: str) -> DataFrame:
        """The table as a DataFrame; what an older one lacks is null.

        Raises:
            TableError: TABLE_MISSING.
        """
        if not self.exists(table):
            raise TableError(
                "TABLE_MISSING",
                f"There is no table {self.where(table)!r}.",
                "Run the stage that writes it first: ingest, generate, execute.",
            )
        rows = self._spark.table(self.name(table))
        missing = [field for field in pending_fields(table, 1) if field.name not in rows.columns]
        return rows.withColumns({field.name: F.lit(None).cast(field.dataType) for field in missing})

    def user_columns(self, table: str) -> list[StructField]:
        """The columns behind the core ones."""
        core = set(TABLES[table].schema.fieldNames())
        return [field for field in self.read(table).schema.fields if field.name not in core]

    def check_writable(self) -> None:
        """Write and delete a probe file.

        Raises:
            TableError: WAREHOUSE_UNWRITABLE, WAREHOUSE_NO_SCHEMA.
        """
        if self._schema is not None:
            if not self._spark.catalog.databaseExists(self._schema):
                raise TableError(
                    "WAREHOUSE_NO_SCHEMA",
                    f"The catalog has no schema {self._schema!r}.",
                    f"CREATE SCHEMA {self._schema}",
                )
            return
        try:
            self._scratch.probe()
        except Exception as error:  # noqa: BLE001 - py4j wraps whatever the file system raises
            raise TableError(
                "WAREHOUSE_UNWRITABLE",
                f"The warehouse {self.location!r} cannot be written ({reason_of(error)}).",
                "Check that it is a directory and its permissions.",
            ) from None

    def check_schemas(self) -> None:
        """Compare every existing table with what this version writes.

        Raises:
            TableError: TABLE_NEWER; TABLE_SCHEMA, naming the first column that differs.
        """
        for spec in TABLES.values():
            if self.exists(spec.name):
                self._check_core(spec)

    def ensure(self, table: str, user_columns: Sequence[StructField] = ()) -> None:
        """Create a table if it is not there; check that the user's columns fit if it is.

        Raises:
            TableError: TABLE_SCHEMA.
        """
        spec = TABLES[table]
        if self.exists(table):
            if table not in self._checked:
                self._check_core(spec)
            if spec.user_columns:
                check_columns(self.where(table), self.user_columns(table), user_columns)
            return
        self._scratch.delete_half_made(table)
        builder = DeltaTable.createIfNotExists(self._spark)
        builder = (
            builder.tableName(self._listed(table)) if self._schema is not None else builder.location(self._path(table))
        )
        builder = builder.addColumns(StructType([*spec.schema.fields, *user_columns]))
        constraints = {f"delta.constraints.{name}": rule for name, rule in spec.constraints.items()}
        for key, value in {**spec.properties, **constraints, VERSION: str(spec.version)}.items():
            builder = builder.property(key, value)
        if any(needs_mapping(field) for field in user_columns):
            # Parquet, and so Delta, refuses some characters in names; mapped columns may be called anything.
            builder = builder.property("delta.columnMapping.mode", "name")
        with self.commit(table):
            builder.execute()

    def append(self, table: str, rows: DataFrame) -> None:
        """Append rows in one commit; columns are matched by name.

        Raises:
            TableError: LEASE_LOST; WAREHOUSE_CONFLICT if somebody else wrote meanwhile and two rows of one key could be
                the result.
        """
        if TABLES[table].one_writer:
            # Delta compares with other commits what the plan reads: an append that reads nothing passes beside any.
            rows = rows.where(self.read(table).limit(1).select(F.count("*")).scalar() >= 0)
        writer = rows.write.format("delta").mode("append")
        with self.commit(table):
            if self._schema is not None:
                writer.saveAsTable(self._listed(table))
            else:
                writer.save(self._path(table))

    def upsert(self, table: str, rows: DataFrame) -> None:
        """Insert rows, replacing those with the same key, in one commit.

        `rows` must read stored data: MERGE evaluates its source twice.
        """
        merge = self._merge(table, rows, TABLES[table].key)
        with self.commit(table):
            merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    def delete(self, table: str, rows: DataFrame, on: Sequence[str]) -> None:
        """Delete the rows that agree with one of `rows` in the columns `on`, in one commit.

        `rows` must be distinct and read stored data.
        """
        merge = self._merge(table, rows, on)
        with self.commit(table):
            merge.whenMatchedDelete().execute()

    def staged(
        self, rows: DataFrame, name: str, progress: AbstractContextManager[object] | None = None
    ) -> AbstractContextManager[DataFrame]:
        """Store rows beside the tables and give them back as read from there; deleted at the end.

        Args:
            progress: entered while the rows are stored.
        """
        return self._scratch.staged(rows, name, progress)

    def _merge(self, table: str, rows: DataFrame, on: Sequence[str]) -> DeltaMergeBuilder:
        target = (
            DeltaTable.forName(self._spark, self._listed(table))
            if self._schema is not None
            else DeltaTable.forPath(self._spark, self._path(table))
        )
        condition = " AND ".join(f"t.{quoted(column)} <=> s.{quoted(column)}" for column in on)
        return target.alias("t").merge(rows.alias("s"), condition)

    @contextmanager
    def commit(self, table: str) -> Iterator[None]:
        """Around a write: not without the lease that was taken, and a race that Delta stopped is told as one."""
        if self.lease is not None:
            self.lease.check()
        try:
            yield
        except Exception as error:
            if (conflict := java_name(error)) in _CONFLICTS:
                raise TableError(
                    "WAREHOUSE_CONFLICT",
                    f"Another job changed {self.where(table)!r} at the same time ({conflict}).",
                    "Nothing was written twice. Run again.",
                ) from error
            if self.lease is not None and not self.lease.held:
                self.lease.check()  # the jobs were cancelled because of that
            raise

    def _properties(self, table: str) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self._spark.sql(f"SHOW TBLPROPERTIES {self.name(table)}").collect()}

    def _columns(self, table: str) -> list[str]:
        return self._spark.table(self.name(table)).columns

    def _absolute(self, location: str) -> str:
        """A location that means the same to driver, executors and SQL; without `file:`, which people do not read."""
        try:
            files, path = hadoop_path(self._spark, location.rstrip("/") or "/")
            return str(files.makeQualified(path).toString()).removeprefix("file:")
        except Exception as error:  # noqa: BLE001 - py4j wraps whatever the file system raises
            raise TableError(
                "WAREHOUSE_UNWRITABLE",
                f"The warehouse {location!r} has no file system that Spark knows ({type(error).__name__}).",
                "Use a directory, or a URI whose file system is on Spark's class path.",
            ) from None

    def _listed(self, table: str) -> str:
        """A table's name in the catalog, quoted."""
        return f"{self._schema}.{quoted(table)}"

    def _path(self, table: str) -> str:
        return f"{self.location}/{table}"

    def _check_core(self, spec: TableSpec) -> None:
        version = version_of(self._properties(spec.name))
        if version > spec.version:
            raise TableError(
                "TABLE_NEWER",
                f"The table {self.where(spec.name)!r} was written by a later version of spark_prox (its schema has "
                f"version {version}, this code knows {spec.version}).",
                "Run the later version; a stale zip in --py-files also beats an installed one.",
            )
        missing = [field.name for field in pending_fields(spec.name, version)]
        wanted = [field for field in spec.schema.fields if field.name not in missing]
        check_columns(self.where(spec.name), self._spark.table(self.name(spec.name)).schema.fields, wanted)
        self._checked.add(spec.name)
