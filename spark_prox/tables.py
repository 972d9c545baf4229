"""Reading and writing the Delta tables of one warehouse.

A warehouse is a directory or URI (tables at `<warehouse>/<table>`) or a schema of the catalog (`catalog:<schema>`,
tables `<schema>.<table>`). Every write is one Delta commit. Knows nothing of models or stages.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_prox.errors import TableError
from spark_prox.schemas import TABLES, TableSpec

__all__ = ["CATALOG_PREFIX", "Warehouse"]

CATALOG_PREFIX = "catalog:"


class Warehouse:
    """The tables of one corpus."""

    def __init__(self, spark: SparkSession, location: str) -> None:
        self._spark = spark
        self._schema = location[len(CATALOG_PREFIX) :] if location.startswith(CATALOG_PREFIX) else None
        self.location = location if self._schema is not None else self._absolute(location)

    def name(self, table: str) -> str:
        """How SQL names a table: `schema`.`table`, or delta.`path`."""
        if self._schema is not None:
            return f"{self._schema}.{table}"
        return f"delta.`{self._path(table)}`"

    def where(self, table: str) -> str:
        """Where a person finds a table."""
        return f"{self._schema}.{table}" if self._schema is not None else self._path(table)

    def exists(self, table: str) -> bool:
        """Whether the table is there, as a Delta table."""
        if self._schema is not None:
            return self._spark.catalog.tableExists(f"{self._schema}.{table}")
        return bool(DeltaTable.isDeltaTable(self._spark, self._path(table)))

    def read(self, table: str) -> DataFrame:
        """The table as a DataFrame.

        Raises:
            TableError: TABLE_MISSING.
        """
        if not self.exists(table):
            raise TableError(
                "TABLE_MISSING",
                f"There is no table {self.where(table)!r}.",
                "Run the stage that writes it first: ingest, generate, execute.",
            )
        return self._spark.table(self.name(table))

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
            files, path = self._hadoop_path(f"{self.location}/_probe-{uuid.uuid4().hex}")
            files.create(path, True).close()
            files.delete(path, False)
        except Exception as error:  # noqa: BLE001 - py4j wraps whatever the file system raises
            reason = str(getattr(error, "java_exception", "") or type(error).__name__).split("\n")[0]
            raise TableError(
                "WAREHOUSE_UNWRITABLE",
                f"The warehouse {self.location!r} cannot be written ({reason[:160]}).",
                "Check that it is a directory and its permissions.",
            ) from None

    def check_schemas(self) -> None:
        """Compare every existing table with what this version writes.

        Raises:
            TableError: TABLE_SCHEMA, naming the first column that differs.
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
            self._check_core(spec)
            if spec.user_columns:
                self._check_user_columns(table, user_columns)
            return
        builder = DeltaTable.createIfNotExists(self._spark)
        builder = (
            builder.tableName(f"{self._schema}.{table}")
            if self._schema is not None
            else builder.location(self._path(table))
        )
        builder = builder.addColumns(StructType([*spec.schema.fields, *user_columns]))
        builder = builder.property("spark_prox.table", table).property("delta.enableChangeDataFeed", "true")
        if any(_needs_mapping(field) for field in user_columns):
            # Parquet, and so Delta, refuses some characters in names; mapped columns may be called anything.
            builder = builder.property("delta.columnMapping.mode", "name")
        builder.execute()

    def append(self, table: str, rows: DataFrame) -> None:
        """Append rows in one commit; columns are matched by name."""
        writer = rows.write.format("delta").mode("append")
        if self._schema is not None:
            writer.saveAsTable(f"{self._schema}.{table}")
        else:
            writer.save(self._path(table))

    def upsert(self, table: str, rows: DataFrame) -> None:
        """Insert rows, replacing those with the same key, in one commit.

        `rows` must read stored data: MERGE evaluates its source twice.
        """
        spec = TABLES[table]
        target = (
            DeltaTable.forName(self._spark, f"{self._schema}.{table}")
            if self._schema is not None
            else DeltaTable.forPath(self._spark, self._path(table))
        )
        condition = " AND ".join(f"t.{column} <=> s.{column}" for column in spec.key)
        merge = target.alias("t").merge(rows.alias("s"), condition)
        merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    @contextmanager
    def staged(
        self, rows: DataFrame, name: str, progress: AbstractContextManager[object] | None = None
    ) -> Iterator[DataFrame]:
        """Store rows beside the tables and give them back as read from there; deleted at the end.

        Args:
            progress: entered while the rows are stored.
        """
        if self._schema is not None:
            table = f"{self._schema}._staging_{name}_{uuid.uuid4().hex[:12]}"
            with progress or nullcontext():
                rows.write.format("delta").saveAsTable(table)
            try:
                yield self._spark.table(table)
            finally:
                self._spark.sql(f"DROP TABLE IF EXISTS {table}")
            return
        path = f"{self.location}/_staging/{name}-{uuid.uuid4().hex[:12]}"
        with progress or nullcontext():
            rows.write.format("delta").save(path)
        try:
            yield self._spark.read.format("delta").load(path)
        finally:
            files, folder = self._hadoop_path(path)
            files.delete(folder, True)

    def _hadoop_path(self, text: str) -> tuple[Any, Any]:
        """A path and its file system, as Java objects."""
        jvm = self._spark._jvm
        assert jvm is not None
        path = jvm.org.apache.hadoop.fs.Path(text)
        return path.getFileSystem(self._spark._jsc.hadoopConfiguration()), path

    def _absolute(self, location: str) -> str:
        """A location that means the same to driver, executors and SQL; without `file:`, which people do not read."""
        try:
            files, path = self._hadoop_path(location.rstrip("/") or "/")
            return str(files.makeQualified(path).toString()).removeprefix("file:")
        except Exception as error:  # noqa: BLE001 - py4j wraps whatever the file system raises
            raise TableError(
                "WAREHOUSE_UNWRITABLE",
                f"The warehouse {location!r} has no file system that Spark knows ({type(error).__name__}).",
                "Use a directory, or a URI whose file system is on Spark's class path.",
            ) from None

    def _path(self, table: str) -> str:
        return f"{self.location}/{table}"

    def _check_core(self, spec: TableSpec) -> None:
        found = {field.name: field.dataType for field in self.read(spec.name).schema.fields}
        for field in spec.schema.fields:
            if field.name not in found:
                raise self._schema_error(spec.name, field.name, None, field.dataType)
            if not _same_type(found[field.name], field.dataType):
                raise self._schema_error(spec.name, field.name, found[field.name], field.dataType)

    def _check_user_columns(self, table: str, wanted: Sequence[StructField]) -> None:
        found = {field.name: field.dataType for field in self.user_columns(table)}
        for field in wanted:
            if field.name not in found:
                raise self._schema_error(table, field.name, None, field.dataType)
            if not _same_type(found[field.name], field.dataType):
                raise self._schema_error(table, field.name, found[field.name], field.dataType)

    def _schema_error(self, table: str, column: str, found: DataType | None, wanted: DataType) -> TableError:
        state = "is missing" if found is None else f"is {found.simpleString()[:80]}"
        return TableError(
            "TABLE_SCHEMA",
            f"The table {self.where(table)!r} has another schema: column {column!r} {state}, "
            f"expected {wanted.simpleString()[:80]}.",
            "Use another --warehouse, or bring the input to the table's columns.",
        )


def _needs_mapping(field: StructField) -> bool:
    """Whether a column, or a field inside it, has a name that Parquet refuses."""
    if any(character in " ,;{}()\n\t=" for character in field.name):
        return True
    inner: list[DataType] = [field.dataType]
    while inner:
        kind = inner.pop()
        if isinstance(kind, StructType):
            if any(_needs_mapping(below) for below in kind.fields):
                return True
        elif isinstance(kind, ArrayType):
            inner.append(kind.elementType)
        elif isinstance(kind, MapType):
            inner += [kind.keyType, kind.valueType]
    return False


def _same_type(left: DataType, right: DataType) -> bool:
    return left.simpleString() == right.simpleString()
