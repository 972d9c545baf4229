"""The files of a warehouse besides its tables: staged rows, probe files, half-made tables, the lease's folder.

Nobody needs any of it once its job has ended, so the next job that may write deletes what a killed one left, and
nothing else. Knows the names of these things and no table.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from delta.tables import DeltaTable
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.names import quoted
from spark_prox.errors import TableError
from spark_prox.warehouse.java_errors import java_name
from spark_prox.warehouse.lease_files import HadoopLeaseFiles, LeaseFiles, LocalLeaseFiles
from spark_prox.warehouse.lease_store import StoreLeaseFiles, creates_conditionally
from spark_prox.warehouse.marks import Marks, hadoop_path, is_link

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["Scratch", "hadoop_path", "lease_files"]

_READ_ONLY_JOBS = ("doctor",)  # stage rows without a lease, for seconds
_YOUNG_S = 3600.0
_PROBE = "_probe-"
_PROBED = b"spark_prox looks whether it can write here\n"
_STAGING_TABLE = "_staging_"
_PROPERTY = "spark_prox.scratch"
_UNFINISHED = re.compile(r".*/(?:_staged_commits|\.[^/]*\.tmp|\.[^/]*\.crc)")
_CREATING = re.compile(r"creating-([a-z_]+)-[0-9a-f]{12}")
_OF_A_WRITE = re.compile(r".*/(?:_delta_log|_change_data|_temporary|\.?part-[^/]*|\._[^/]*\.crc)")


class Scratch:
    """The scratch space of one warehouse.

    Args:
        location: where the tables lie; None when they are a catalog's.
        schema: the catalog's schema, quoted.
    """

    def __init__(self, spark: SparkSession, location: str | None, schema: str | None) -> None:
        self._spark = spark
        self._location = location
        self._schema = schema

    def probe(self) -> None:
        """Write and delete a file; raises what the file system raises."""
        files, path = hadoop_path(self._spark, f"{self._location}/{_PROBE}{uuid.uuid4().hex}")
        stream = files.create(path, True)
        stream.write(bytearray(_PROBED))
        stream.close()
        files.delete(path, False)

    @contextmanager
    def staged(
        self, rows: DataFrame, name: str, progress: AbstractContextManager[object] | None = None
    ) -> Iterator[DataFrame]:
        """Store rows beside the tables and give them back as read from there; deleted at the end."""
        marks, name = self._marks(), f"{name}-{uuid.uuid4().hex[:12]}"
        if self._schema is not None:
            name = _STAGING_TABLE + name.replace("-", "_")
            table = f"{self._schema}.{quoted(name)}"
            marks.set(name)
            with progress or nullcontext():
                # Created empty, then appended to: Spark loses what it observes of rows that a table is created by.
                empty = self._spark.createDataFrame([], rows.schema)
                empty.writeTo(table).using("delta").tableProperty(_PROPERTY, name).create()
                rows.write.format("delta").mode("append").saveAsTable(table)
            try:
                yield self._spark.table(table)
            finally:
                self._spark.sql(f"DROP TABLE IF EXISTS {table}")
                marks.remove(name)
            return
        path = f"{self._location}/_staging/{name}"
        marks.set(name)
        with progress or nullcontext():
            rows.write.format("delta").save(path)
        try:
            yield self._spark.read.format("delta").load(path)
        finally:
            marks.delete_marked(name)

    def delete_leftovers(self) -> list[str]:
        """Delete what killed jobs left; only for a job that has just taken the lease and has staged nothing yet.

        Only what this code made: folders and tables that it marked, and probe files with its words in them. A warehouse
        may hold other people's things, whatever they are called.

        Returns:
            The names of what was deleted.
        """
        marks = self._marks()
        deleted = [name for name, since in marks.found() if not _may_be_read(name, since)]
        if self._schema is not None:
            listed = [name for name, since in self._marked_tables() if not _may_be_read(name, since)]
            for name in listed:
                self._spark.sql(f"DROP TABLE IF EXISTS {self._schema}.{quoted(name)}")
            deleted += [name for name in listed if name not in deleted]
        for name in deleted:
            if created := _CREATING.fullmatch(name):
                self._delete_uncreated(created[1])
            if self._root():
                marks.delete_marked(name)
        return deleted + self._delete_probes()

    def delete_half_made(self, table: str) -> None:
        """Delete the folder of a table that is not there, if it is what a job left that was killed while creating it.

        Delta writes a table's log before its first commit, a catalog lists it after that, and neither creates a table
        over what it finds. A folder with anything else in it is left alone, a link, a log of another table, and a log
        that names rows stored elsewhere.
        """
        path = f"{self._root()}/{table}"
        if [name for name, _ in self._children(table, "")] != [f"{table}/_delta_log"]:
            return
        if is_link(self._spark, path) or is_link(self._spark, f"{path}/_delta_log"):
            return
        if not DeltaTable.isDeltaTable(self._spark, path):
            unfinished = (_UNFINISHED.fullmatch(name) for name, _ in self._children(f"{table}/_delta_log", ""))
            if not all(unfinished):
                return
        elif not self._is_empty(path, table):
            return  # a shallow clone, or somebody else's
        self._delete(table)

    def _delete_uncreated(self, table: str) -> None:
        """Delete the rows of a table whose creation was cut off; a table, a link and anything else stay."""
        path = f"{self._root()}/{table}"
        inside = (name for name, _ in self._children(table, ""))
        if is_link(self._spark, path) or not all(_OF_A_WRITE.fullmatch(name) for name in inside):
            return
        if not DeltaTable.isDeltaTable(self._spark, path):
            self._delete(table)

    def has(self, name: str) -> bool:
        """Check if something of that name lies beside the tables."""
        files, path = hadoop_path(self._spark, str(self._location))
        try:
            return any(status.getPath().getName() == name for status in files.listStatus(path))
        except Exception as error:
            if java_name(error) in ("FileNotFoundException", "NotDirectoryException"):
                return False
            raise

    def is_free(self, table: str) -> bool:
        """True if nothing lies where a table would be."""
        return not self._children(table, "")

    @contextmanager
    def creating(self, table: str) -> Iterator[None]:
        """Around the write that creates a table with its first rows; a killed one leaves data without a log.

        The mark that stays then tells `delete_leftovers` that this data is nobody's.
        """
        marks, name = self._marks(), f"creating-{table}-{uuid.uuid4().hex[:12]}"
        marks.set(name)
        yield
        marks.remove(name)

    def lease_folder(self) -> str:
        """The lease's folder if the configuration names none: beside the tables, or in the schema's own folder."""
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

    def _marks(self) -> Marks:
        if self._schema is None:
            return Marks(self._spark, f"{self._location}/_staging")
        return Marks(self._spark, self._root(), _STAGING_TABLE)

    def _marked_tables(self) -> list[tuple[str, float]]:
        """Tables of the catalog that carry the property of a staged one, and when they were created."""
        found = []
        for row in self._spark.sql(f"SHOW TABLES IN {self._schema} LIKE '{_STAGING_TABLE}*'").collect():
            name = row["tableName"]
            if row["isTemporary"]:
                continue
            with suppress(PySparkException):  # a view, or a table of another format: nothing of ours
                detail = self._spark.sql(f"DESCRIBE DETAIL {self._schema}.{quoted(name)}").first()
                if detail is not None and detail["properties"].get(_PROPERTY) == name:
                    found.append((name, detail["createdAt"].timestamp()))
        return found

    def _is_empty(self, path: str, table: str) -> bool:
        """True if a Delta table is one of ours that never got a row."""
        detail = self._spark.sql(f"DESCRIBE DETAIL delta.{quoted(path)}").first()
        if detail is None or detail["properties"].get("spark_prox.table", table) != table:
            return False
        return self._spark.read.format("delta").load(path).isEmpty()

    def _delete_probes(self) -> list[str]:
        if self._schema is not None:
            return []
        deleted = []
        for name, _ in self._children("", _PROBE):
            files, path = hadoop_path(self._spark, f"{self._location}/{name}")
            status = files.getFileStatus(path)
            if status.isFile() and status.getLen() == len(_PROBED) and not is_link(self._spark, str(path.toString())):
                stream = files.open(path)
                jvm: Any = self._spark._jvm
                said = bytes(jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
                stream.close()
                if said == _PROBED:
                    files.delete(path, False)
                    deleted.append(name)
        return deleted


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


def _on_hadoop(spark: SparkSession, files: Any, path: Any) -> LeaseFiles:
    path = files.makeQualified(path)
    if creates_conditionally(files, path):
        return StoreLeaseFiles(str(path.toString()), path, files, spark._jvm)
    return HadoopLeaseFiles(str(path.toString()), path, files, spark._jvm)


def _may_be_read(name: str, since: float) -> bool:
    """True if a job that takes no lease may be reading what is called so."""
    return name.removeprefix(_STAGING_TABLE).startswith(_READ_ONLY_JOBS) and time.time() - since < _YOUNG_S
