"""A Delta table as a stream of micro-batches: appended rows, or the change data feed of a table that keeps one.

With a feed the last change of an id counts: an update gives the row as it is now, a deletion a row with the code
`DELETED`. Without one only appended rows are seen, and Delta ends the stream at a commit that changes others. Knows
where a source was read to by Spark's checkpoint only, and nothing of the tables that are written.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.input import InputSpec
from spark_prox.config.names import quoted
from spark_prox.errors import InputError, ProxError
from spark_prox.sources.frames.core_columns import with_core_columns
from spark_prox.sources.frames.files import plain_path
from spark_prox.sources.frames.identity import ROW, resolve_duplicates
from spark_prox.sources.frames.places import CODE, DETAIL, PATH, POSITION, flat_columns
from spark_prox.sources.frames.raw import delta_table
from spark_prox.sources.layouts import find_layout

__all__ = ["DELETED", "DeltaStream", "open_stream", "stream_error"]

DELETED = "DELETED"
"""`reject_code` of a row that says that the document of this id is gone."""

_VERSION, _GONE = "__prox_version", "__prox_gone"
_FEED_COLUMNS = ("_change_type", "_commit_version", "_commit_timestamp")


@dataclass(frozen=True, kw_only=True)
class DeltaStream:
    """A source that is open.

    Attributes:
        root: the table's directory or URI; `path` of every document that comes from here.
        name: the table, as SQL names it.
        has_feed: whether it keeps a change data feed, which is then read.
        key: tells this source, read in this way, from others; 16 hexadecimal digits.
    """

    spark: SparkSession
    spec: InputSpec
    root: str
    name: str
    has_feed: bool
    key: str

    def micro_batches(self) -> DataFrame:
        """The table as a streaming frame; the first micro-batches are what it holds when they start."""
        reader = self.spark.readStream.format("delta")
        reader = reader.option("maxFilesPerTrigger", self.spec.max_files_per_trigger)
        reader = reader.option("maxBytesPerTrigger", f"{self.spec.max_bytes_per_trigger}b")
        if self.has_feed:
            reader = reader.option("readChangeFeed", "true")
        elif self.spec.skip_change_commits:
            reader = reader.option("skipChangeCommits", "true")
        return reader.load(self.root) if self.name.startswith("delta.") else reader.table(self.name)

    def rows(self, frame: DataFrame) -> DataFrame:
        """A micro-batch as rows of `read_input`, with a feed at most one document for each id, and the deletions.

        Raises:
            InputError: MISSING_COLUMN, BAD_COLUMN.
        """
        numbered = self._placed(frame).withColumn(ROW, F.monotonically_increasing_id())
        if not self.has_feed:
            rows, is_explicit = self._with_core(numbered, (ROW,))
            return resolve_duplicates(rows, id_is_explicit=is_explicit, has_positions=False).drop(ROW)
        changes = (
            numbered.withColumn(_VERSION, F.col("_commit_version"))
            .withColumn(_GONE, F.col("_change_type").isin("delete", "update_preimage"))
            .drop(*_FEED_COLUMNS)
        )
        rows, _ = self._with_core(changes, (ROW, _VERSION, _GONE))
        # Gone sorts before present, so that an update, which is both at one version, leaves its new row.
        moment = F.struct(F.col(_VERSION), ~F.col(_GONE))
        last = rows.groupBy("doc_id").agg(F.max(moment).alias("__prox_last"), F.count("*").alias("__prox_count"))
        last = last.where("__prox_count > 1").drop("__prox_count")
        rows = rows.join(last, "doc_id", "left").where(F.col("__prox_last").isNull() | (moment == F.col("__prox_last")))
        code = F.when(F.col(_GONE), F.lit(DELETED)).otherwise(F.col("reject_code"))
        rows = rows.withColumn("reject_code", code).drop("__prox_last", _VERSION, _GONE)
        return resolve_duplicates(rows, id_is_explicit=True, has_positions=False).drop(ROW)

    def ids(self) -> DataFrame:
        """(doc_id) of every document that the table holds now."""
        rows, _ = self._with_core(self._placed(self.table()), ())
        return rows.where("reject_code IS NULL").select("doc_id")

    def table(self) -> DataFrame:
        """The table as it is now."""
        return self.spark.table(self.name)

    def _placed(self, frame: DataFrame) -> DataFrame:
        nothing = F.lit(None).cast("string")
        places = {PATH: F.lit(self.root), POSITION: F.lit(None).cast("long"), CODE: nothing, DETAIL: nothing}
        return frame.withColumns(places)

    def _with_core(self, frame: DataFrame, keep: tuple[str, ...]) -> tuple[DataFrame, bool]:
        layout = find_layout(self.spec, flat_columns(frame.drop(*keep).schema), mixed=False)
        return with_core_columns(frame, self.spec, layout, keep=keep), layout.id_is_explicit


def open_stream(spark: SparkSession, spec: InputSpec) -> DeltaStream:
    """Look at the table that `spec` names.

    Raises:
        InputError: INPUT_NOT_FOUND, WRONG_FORMAT.
    """
    _, is_path = delta_table(spark, spec)
    name = f"delta.{quoted(spec.path)}" if is_path else spec.path
    detail = spark.sql(f"DESCRIBE DETAIL {name}").first()
    assert detail is not None
    root = plain_path(detail["location"])
    has_feed = detail["properties"].get("delta.enableChangeDataFeed", "").lower() == "true"
    columns = (spec.id_column, spec.text_column, spec.url_column)
    key = hashlib.sha256(repr((root, has_feed, columns)).encode()).hexdigest()[:16]
    name = f"delta.{quoted(root)}" if is_path else name
    return DeltaStream(spark=spark, spec=spec, root=root, name=name, has_feed=has_feed, key=key)


def stream_error(error: Exception, source: DeltaStream, checkpoint: str) -> ProxError | None:
    """Give an error with a code for a source that, as Delta says, cannot be followed any longer; None for others."""
    if isinstance(error, ProxError):
        return error
    found = re.search(r"\[((?:DELTA|DIFFERENT_DELTA)_[A-Z_]+)[\].]", str(error))
    name = found.group(1) if found else ""
    again = f"Delete the checkpoint {checkpoint!r} and run again: known documents cost nothing."
    if name in ("DELTA_SOURCE_TABLE_IGNORE_CHANGES", "DELTA_SOURCE_IGNORE_DELETE"):
        return InputError(
            "SOURCE_CHANGED",
            f"rows of {source.spec.path!r} were updated or deleted, which only a change data feed tells.",
            f"ALTER TABLE {source.name} SET TBLPROPERTIES (delta.enableChangeDataFeed = true) and run again, or pass "
            "over such commits with input.skip_change_commits=true.",
        )
    if name == "DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE":
        return InputError("SOURCE_REPLACED", f"{source.spec.path!r} is another table than the last run read.", again)
    if "SCHEMA" in name or "COLUMN" in name:
        return InputError("SOURCE_SCHEMA", f"the schema of {source.spec.path!r} changed ({name}).", again)
    lost = ("TRUNCATED", "NOT_FOUND", "MISSING", "VERSION", "CHANGE_DATA")
    if any(word in name for word in lost) or "FILE_NOT_EXIST" in str(error):
        return InputError(
            "SOURCE_HISTORY",
            f"files that {source.spec.path!r} needs to tell what is new are gone ({name or 'FILE_NOT_EXIST'}): "
            "VACUUM or log retention passed the last run.",
            again,
        )
    return None
