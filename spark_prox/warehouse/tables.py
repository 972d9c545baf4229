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
from pyspark.sql.types import StructField

from spark_prox.config.lease import LeaseConfig
from spark_prox.config.names import quoted, quoted_name, schema_of
from spark_prox.errors import TableError
from spark_prox.warehouse.columns import check_columns
from spark_prox.warehouse.commits import under_lease
from spark_prox.warehouse.creation import create_by_rows, create_empty, empty_rows, is_created_by_rows
from spark_prox.warehouse.java_errors import java_name, reason_of, unwritable
from spark_prox.warehouse.lease import Lease, hold
from spark_prox.warehouse.migrations import check_core, migrate, pending_fields
from spark_prox.warehouse.schemas import TABLES, TableSpec
from spark_prox.warehouse.scratch import Scratch, hadoop_path, lease_files
from spark_prox.warehouse.source_tables import SourceTables

__all__ = ["Warehouse"]


class Warehouse:
    """The tables of one corpus.

    Attributes:
        lease: held by a job that writes; None for one that reads.
        sources: tables in which texts lie that were not copied, see `spark_prox.warehouse.texts`.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self._spark = spark
        schema = schema_of(location)
        self._schema = None if schema is None else quoted_name(schema)
        self.location = location if self._schema is not None else self._absolute(location)
        self._scratch = Scratch(spark, None if self._schema is not None else self.location, self._schema)
        self.lease: Lease | None = None
        self.sources = SourceTables(spark)
        self._found: set[str] = set()  # tables that are there: nobody takes them away
        self._checked = False
        self._expected: dict[str, tuple[StructField, ...]] = {}

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
        if not self._checked:
            self.check_schemas()  # with the lease: until then another job may change them
        if not taken:
            return []
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
        """The place where a person finds a table."""
        return self._listed(table).replace("`", "") if self._schema is not None else self._path(table)

    def exists(self, table: str) -> bool:
        """True if the table is there, as a Delta table; one that was found stays."""
        if table in self._found:
            return True
        if self._schema is not None:
            found = self._spark.catalog.tableExists(self._listed(table))
        else:
            # Delta looks for a log in the folders above as well, with four requests to an object store.
            found = self._scratch.has(table) and bool(DeltaTable.isDeltaTable(self._spark, self._path(table)))
        if found:
            self._found.add(table)
        return found

    def read(self, table: str) -> DataFrame:
        """The table as a DataFrame; what an older one lacks is null.

        Raises:
            TableError: TABLE_MISSING.
        """
        if table in self._expected:
            return empty_rows(self._spark, TABLES[table], self._expected[table])
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
            raise unwritable(f"The warehouse {self.location!r} cannot be written", reason_of(error), error) from None

    def check_schemas(self) -> None:
        """Compare every existing table with what this version writes.

        Raises:
            TableError: TABLE_NEWER; TABLE_SCHEMA, naming the first column that differs.
        """
        for spec in TABLES.values():
            if self.exists(spec.name):
                self._check_core(spec)
        self._checked = True

    def ensure(self, table: str, user_columns: Sequence[StructField] = ()) -> None:
        """Create a table if it is not there; check that the user's columns fit if it is.

        Raises:
            TableError: TABLE_SCHEMA.
        """
        spec = TABLES[table]
        if self.exists(table):
            if not self._checked:
                self._check_core(spec)
            if spec.user_columns:
                check_columns(self.where(table), self.user_columns(table), user_columns)
            return
        self._scratch.delete_half_made(table)
        self._expected.pop(table, None)
        with self.commit(table):
            if self._schema is not None:
                create_empty(self._spark, spec, user_columns, name=self._listed(table))
            else:
                create_empty(self._spark, spec, user_columns, path=self._path(table))

    def expect(self, table: str, user_columns: Sequence[StructField] = ()) -> None:
        """As `ensure`, but a table that is not there is created by its first rows, in one commit with them.

        Until then `read` gives no rows of it. `create_expected` creates those that got none.

        Raises:
            TableError: TABLE_SCHEMA.
        """
        if self._schema is None and not self.exists(table) and is_created_by_rows(TABLES[table], user_columns):
            self._scratch.delete_half_made(table)
            if self._scratch.is_free(table):
                self._expected[table] = tuple(user_columns)
                return
        self.ensure(table, user_columns)

    def create_expected(self) -> None:
        """Create the expected tables that got no rows."""
        while self._expected:
            self.ensure(*self._expected.popitem())

    def append(self, table: str, rows: DataFrame, *, looked: bool = False) -> None:
        """Append rows in one commit; columns are matched by name.

        Args:
            looked: the rows were joined with the table itself, to leave out those that are there.

        Raises:
            TableError: LEASE_LOST; WAREHOUSE_CONFLICT if somebody else wrote meanwhile and two rows of one key could be
                the result.
        """
        if table in self._expected:
            with self.commit(table), self._scratch.creating(table):
                create_by_rows(rows, TABLES[table], self._expected[table], self._path(table))
            del self._expected[table]
            return
        if TABLES[table].one_writer and not looked:
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
        if table in self._expected:
            self.append(table, rows)
            return
        merge = self._merge(table, rows, TABLES[table].key)
        with self.commit(table):
            merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    def delete(self, table: str, rows: DataFrame, on: Sequence[str]) -> None:
        """Delete the rows that agree with one of `rows` in the columns `on`, in one commit.

        `rows` must be distinct and read stored data.
        """
        if table in self._expected:
            return
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
        """Around a write, see `under_lease`."""
        with under_lease(self.lease, self.where(table)):
            yield

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
            what = f"The warehouse {location!r} has no file system that Spark knows"
            raise unwritable(what, java_name(error), error) from None

    def _listed(self, table: str) -> str:
        """A table's name in the catalog, quoted."""
        return f"{self._schema}.{quoted(table)}"

    def _path(self, table: str) -> str:
        return f"{self.location}/{table}"

    def _check_core(self, spec: TableSpec) -> None:
        fields = self._spark.table(self.name(spec.name)).schema.fields
        check_core(self.where(spec.name), spec, self._properties(spec.name), fields)
