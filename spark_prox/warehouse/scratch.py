"""What a warehouse holds besides its tables: staged rows, probe files, half-made tables, the lease's folder.

Nobody needs any of it once its job has ended, so the next job that may write deletes what a killed one left. Knows the
names of these things and no table.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from spark_prox.errors import TableError
from spark_prox.warehouse.lease_files import HadoopLeaseFiles, LeaseFiles, LocalLeaseFiles

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Scratch", "hadoop_path", "java_name", "lease_files", "reason_of"]

_READ_ONLY_JOBS = ("doctor",)  # stage rows without a lease, for seconds
_YOUNG_S = 3600.0
_CREATING = "creating-"


class Scratch:
    """The scratch space of one warehouse.

    Args:
        location: where the tables lie; None when they are a catalog's.
        schema: the catalog's schema.
    """

    def __init__(self, spark: SparkSession, location: str | None, schema: str | None) -> None:
        self._spark = spark
        self._location = location
        self._schema = schema

    def probe(self) -> None:
        """Write and delete a file; raises what the file system raises."""
        files, path = hadoop_path(self._spark, f"{self._location}/_probe-{uuid.uuid4().hex}")
        files.create(path, True).close()
        files.delete(path, False)

    @contextmanager
    def staged(
        self, rows: DataFrame, name: str, progress: AbstractContextManager[object] | None = None
    ) -> Iterator[DataFrame]:
        """Store rows beside the tables and give them back as read from there; deleted at the end."""
        if self._schema is not None:
            table = f"{self._schema}._staging_{name}_{uuid.uuid4().hex[:12]}"
            with progress or nullcontext():
                rows.write.format("delta").saveAsTable(table)
            try:
                yield self._spark.table(table)
            finally:
                self._spark.sql(f"DROP TABLE IF EXISTS {table}")
            return
        path = f"{self._location}/_staging/{name}-{uuid.uuid4().hex[:12]}"
        with progress or nullcontext():
            rows.write.format("delta").save(path)
        try:
            yield self._spark.read.format("delta").load(path)
        finally:
            files, folder = hadoop_path(self._spark, path)
            files.delete(folder, True)

    def delete_leftovers(self) -> list[str]:
        """Delete what killed jobs left; only for a job that has just taken the lease and has staged nothing yet.

        Returns:
            The names of what was deleted.
        """
        if self._schema is not None:
            rows = self._spark.sql(f"SHOW TABLES IN {self._schema} LIKE '_staging_*'").collect()
            listed = {row["tableName"]: self._created(row["tableName"]) for row in rows}
            found = [*listed.items(), *(child for child in self._children("", "_staging_") if child[0] not in listed)]
        else:
            found = [*self._children("_staging", ""), *self._children("", "_probe-")]
        old = [name for name, since in found if not (_of_reader(name) and time.time() - since < _YOUNG_S)]
        for name in old:
            if self._schema is not None:
                self._spark.sql(f"DROP TABLE IF EXISTS {self._schema}.{name}")
            table = name.removeprefix(f"_staging/{_CREATING}")
            if table != name and not DeltaTable.isDeltaTable(self._spark, f"{self._location}/{table}"):
                self._delete(table)
            self._delete(name)
        return old

    def delete_half_made(self, table: str) -> None:
        """Delete the folder of a table that is not there, if it is what a job left that was killed while creating it.

        Delta writes a table's log before its first commit, a catalog lists it after that, and neither creates a table
        over what it finds. A folder with data is left alone, and so is a log that names rows stored elsewhere.
        """
        if [name for name, _ in self._children(table, "")] != [f"{table}/_delta_log"]:
            return
        path = f"{self._root()}/{table}"
        if DeltaTable.isDeltaTable(self._spark, path) and not self._spark.read.format("delta").load(path).isEmpty():
            return  # a shallow clone
        self._delete(table)

    def is_free(self, table: str) -> bool:
        """Whether nothing lies where a table would be."""
        return not self._children(table, "")

    @contextmanager
    def creating(self, table: str) -> Iterator[None]:
        """Around the write that creates a table with its first rows; a killed one leaves data without a log.

        The note that stays then tells `delete_leftovers` that this data is nobody's.
        """
        files, note = hadoop_path(self._spark, f"{self._location}/_staging/{_CREATING}{table}")
        files.create(note, True).close()
        yield
        files.delete(note, False)

    def lease_folder(self) -> str:
        """Where the lease lies if the configuration does not say: beside the tables, or in the schema's own folder."""
        root = self._root()
        if self._schema is None:
            return f"{root}/_lease"
        return f"{root}/_spark_prox_lease" if root else ""

    def _root(self) -> str:
        """The folder of the tables; "" where the catalog does not say."""
        if self._schema is None:
            return str(self._location)
        return (self._spark.catalog.getDatabase(self._schema).locationUri or "").rstrip("/")

    def _children(self, folder: str, prefix: str) -> list[tuple[str, float]]:
        """Names below the location, and when they were last written."""
        root = self._root()
        if not root:
            return []
        files, path = hadoop_path(self._spark, f"{root}/{folder}".rstrip("/"))
        if not files.exists(path):
            return []
        inside = f"{folder}/" if folder else ""
        return [
            (inside + status.getPath().getName(), status.getModificationTime() / 1000)
            for status in files.listStatus(path)
            if status.getPath().getName().startswith(prefix)
        ]

    def _delete(self, name: str) -> None:
        if root := self._root():
            files, path = hadoop_path(self._spark, f"{root}/{name}")
            files.delete(path, True)

    def _created(self, table: str) -> float:
        row = self._spark.sql(f"DESCRIBE DETAIL {self._schema}.{table}").first()
        created: datetime = row["createdAt"] if row is not None else datetime.now(timezone.utc)
        return created.timestamp()


def lease_files(spark: SparkSession, folder: str) -> LeaseFiles:
    """The files of a lease in a folder, by what its file system can do.

    Raises:
        TableError: WAREHOUSE_NO_LEASE.
    """
    if not folder:
        raise TableError(
            "WAREHOUSE_NO_LEASE",
            "The catalog does not say where the schema's files lie, so there is no place for the lease.",
            "Set lease.path to a folder that every job on these tables can write.",
        )
    local = folder.removeprefix("file:")
    if local.startswith("/"):
        files, path = hadoop_path(spark, folder)
        if files.getScheme() == "file":
            return LocalLeaseFiles("/" + local.lstrip("/"))
        return _on_hadoop(spark, files, path)
    return _on_hadoop(spark, *hadoop_path(spark, folder))


def hadoop_path(spark: SparkSession, text: str) -> tuple[Any, Any]:
    """A path's file system and the path, as Java objects."""
    jvm = spark._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(text)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path


def reason_of(error: Exception) -> str:
    """The first line of what the Java side raised."""
    return str(getattr(error, "java_exception", "") or type(error).__name__).split("\n", maxsplit=1)[0][:160]


def java_name(error: Exception) -> str:
    """The class of an exception, whether PySpark has one of its own for it or wraps the Java one."""
    java = getattr(error, "java_exception", None)
    return type(error).__name__ if java is None else str(java.getClass().getSimpleName())


def _on_hadoop(spark: SparkSession, files: Any, path: Any) -> HadoopLeaseFiles:
    path = files.makeQualified(path)
    return HadoopLeaseFiles(str(path.toString()), path, files, spark._jvm)


def _of_reader(name: str) -> bool:
    last = name.removeprefix("_staging").lstrip("/_")
    return last.startswith(_READ_ONLY_JOBS)
