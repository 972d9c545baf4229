"""The stored verdicts of filters as stages read them: those that count, and the documents that they leave.

A verdict counts while its filter is on with the same settings and its document has the same text. Knows no stage.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.warehouse.tables import Warehouse

__all__ = ["candidates", "dropped_documents", "hashes_before", "used_verdicts", "without_dropped"]

_ID = ["doc_id", "doc_hash"]


def used_verdicts(warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
    """The stored verdicts of some filters under their settings.

    Args:
        hashes: of `spark_prox.filters.filter_hashes`.
    """
    rules = (f"(stage = '{name}' AND settings_hash = '{value}')" for name, value in hashes.items())
    return warehouse.read("verdicts").where(" OR ".join(rules) or "false")


def dropped_documents(warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
    """(doc_id, doc_hash, drop_reason) of the documents that one of the filters drops, by the first that does."""
    place = F.create_map(*(F.lit(part) for pair in enumerate(hashes) for part in reversed(pair)))[F.col("stage")]
    dropped = used_verdicts(warehouse, hashes).where("verdict = 'drop'")
    return dropped.groupBy(*_ID).agg(F.min_by("reason", place).alias("drop_reason"))


def without_dropped(warehouse: Warehouse, hashes: Mapping[str, str], documents: DataFrame) -> DataFrame:
    """The documents (doc_id, doc_hash, ...) that none of the filters drops; all of them without filters."""
    if not hashes:
        return documents
    dropped = used_verdicts(warehouse, hashes).where("verdict = 'drop'").select(*_ID)
    return documents.join(dropped, _ID, "left_anti")


def candidates(warehouse: Warehouse, hashes: Mapping[str, str], only: DataFrame | None) -> DataFrame:
    """(doc_id, doc_hash) of the documents that go on to a model: those that no filter drops.

    Args:
        only: (doc_id) of the documents to look at; None for all.
    """
    documents = warehouse.read("documents").select(*_ID)
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")
    if hashes:
        warehouse.expect("verdicts")
    return without_dropped(warehouse, hashes, documents)


def hashes_before(hashes: Mapping[str, str], name: str) -> dict[str, str]:
    """Those of the filters before one."""
    names = list(hashes)
    return {before: hashes[before] for before in names[: names.index(name)]}
