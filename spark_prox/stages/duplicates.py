"""The common part of filters of duplicates: which document of several stays, and which verdicts hold later.

A document that a run has kept stays kept, so that a model's work on it is not lost: of later duplicates, the later one
is dropped. Otherwise the configured policy chooses, and the smallest id where it cannot tell. Knows no kind of
duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.config.filters import KeepPolicy
from spark_prox.config.names import quoted
from spark_prox.errors import ConfigError
from spark_prox.stages.base import Run
from spark_prox.stages.filter import Filter
from spark_prox.stages.verdicts import hashes_before, used_verdicts, without_dropped
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import char_count

__all__ = ["DuplicateFilter", "preference"]

_ID = ["doc_id", "doc_hash"]


class DuplicateFilter(Filter):
    """Of documents that are the same, one stays; the verdict of the others names it."""

    def marked(self, warehouse: Warehouse, hashes: Mapping[str, str], documents: DataFrame) -> DataFrame:
        """See `Filter`: a duplicate's verdict holds while the document that stayed is there and stays."""
        done = self._holding(warehouse, hashes).select(*_ID, F.lit(True).alias("done"))
        stored = warehouse.read("verdicts").where(F.col("stage") == self.name)
        known = stored.select("doc_id", F.lit(True).alias("stored"))
        return documents.join(done, _ID, "left").join(known, "doc_id", "left")

    def holding(self, run: Run) -> DataFrame:
        """(doc_id, doc_hash, keys, stays) of the documents whose verdicts hold; `stays`: the document that does."""
        return self._holding(run.warehouse, run.filters)

    def _holding(self, warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
        mine = used_verdicts(warehouse, {self.name: hashes[self.name]})
        present = without_dropped(warehouse, hashes_before(hashes, self.name), warehouse.read("documents").select(*_ID))
        rows = mine.select(*_ID, "keys", F.coalesce("duplicate_of", "doc_id").alias("stays"))
        rows = rows.join(present, _ID, "left_semi")
        staying = rows.where("stays = doc_id").select("stays")
        return rows.join(staying, "stays", "left_semi").select(*_ID, "keys", "stays")


def preference(warehouse: Warehouse, keep: KeepPolicy, date_column: str) -> Column:
    """A number of a document of `documents`, smallest for the one to keep; largest of all where there is no date.

    Raises:
        ConfigError: FILTER_NO_DATE when `documents` has no such column.
    """
    if keep == "longest":
        return -char_count()
    if keep == "first":
        return F.lit(0).cast("long")
    if date_column and date_column not in warehouse.read("documents").columns:
        raise ConfigError(
            "FILTER_NO_DATE",
            f"The table documents has no column {date_column!r} to tell old documents from new ones by.",
            "Name a column of your input in date_column, or leave it empty for the time of the ingest.",
        )
    time = F.expr(f"try_cast({quoted(date_column or 'ingested_at')} AS timestamp)")
    micros = F.unix_micros(time)
    return F.coalesce(micros if keep == "oldest" else -micros, F.lit((1 << 63) - 1))
