"""Delta tables in which texts lie that were not copied, read at the version that a document names.

A version that VACUUM or log retention took is replaced by the present one: whoever reads a text compares its hash, so
a text that is still the same is found there, and another one is never taken for it. Knows no table of a warehouse.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.names import quoted
from spark_prox.errors import TableError
from spark_prox.spark.progress import announce

__all__ = ["SourceTables", "TextPlace"]

_ONLY_YOUNG = "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration"
"""Delta refuses versions older than `delta.deletedFileRetentionDuration`, a week, whether files are gone or not."""


@dataclass(frozen=True, kw_only=True)
class TextPlace:
    """The place of texts; the fields are those of `documents.text_place`, without the lengths.

    Attributes:
        table: a path, or a name of the catalog.
        id_column, text_column: as `F.col` takes them.
        id_type: string or bigint; in this type ids are compared with the statistics of the table's files.
    """

    table: str
    version: int
    id_column: str
    id_type: str
    text_column: str


class SourceTables:
    """Opens versions of tables, and keeps in mind what it found.

    Attributes:
        are_used: there may be documents whose texts were not copied; None until somebody looked.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self.are_used: bool | None = None
        self._readable: dict[tuple[str, int], int] = {}

    def version(self, table: str, wanted: int) -> int:
        """The wanted version, or the present one where it cannot be read any more.

        Raises:
            TableError: TEXT_SOURCE_MISSING.
        """
        found = self._readable.get((table, wanted))
        if found is None:
            found = self._look(table, wanted)
            self._readable[table, wanted] = found
        return found

    def read(self, table: str, version: int) -> DataFrame:
        """A table at a version."""
        conf = self._spark.conf
        before = conf.get(_ONLY_YOUNG, None)
        conf.set(_ONLY_YOUNG, "false")  # its files are looked for, however old it is
        try:
            reader = self._spark.read.format("delta").option("versionAsOf", version)
            return reader.load(table) if "/" in table else reader.table(table)
        finally:
            if before is None:
                conf.unset(_ONLY_YOUNG)
            else:
                conf.set(_ONLY_YOUNG, before)

    def present(self, table: str) -> int:
        """The present version of a table.

        Raises:
            TableError: TEXT_SOURCE_MISSING.
        """
        try:
            row = self._spark.sql(f"DESCRIBE HISTORY {_sql_name(table)} LIMIT 1").first()
            assert row is not None
            return int(row["version"])
        except Exception:  # noqa: BLE001 - analysis errors of many kinds, from Java and from Delta
            raise TableError(
                "TEXT_SOURCE_MISSING",
                f"The Delta table {table!r}, in which texts of documents lie, cannot be read.",
                "Bring it back; or where it moved, ingest it from its new place: its documents are then found there.",
            ) from None

    def _look(self, table: str, wanted: int) -> int:
        present = self.present(table)
        if wanted == present or self._is_whole(table, wanted, present):
            return wanted
        announce(
            f"texts: version {wanted} of {table} is not there any more (VACUUM or log retention). Its texts are read "
            f"at version {present}; those that changed since are TEXT_GONE"
        )
        return present

    def _is_whole(self, table: str, version: int, present: int) -> bool:
        """True if every file of a version is there; those of the present version are."""
        try:
            old = self.read(table, version).inputFiles()
        except Exception:  # noqa: BLE001 - Delta has a class for each thing that can be gone
            return False
        replaced = set(old).difference(self.read(table, present).inputFiles())
        return all(self._exists(file) for file in sorted(replaced))

    def _exists(self, file: str) -> bool:
        java = self._spark._jvm
        assert java is not None
        path = java.org.apache.hadoop.fs.Path(java.java.net.URI(file))
        return bool(path.getFileSystem(self._spark._jsc.hadoopConfiguration()).exists(path))


def _sql_name(table: str) -> str:
    return f"delta.{quoted(table)}" if "/" in table else table
