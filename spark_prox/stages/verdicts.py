"""The stored verdicts of filters as stages read them: those that count, and the documents that they leave.

A verdict counts while its filter is on with the same settings and its document has the same text. Knows no stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.config.loading import build
from spark_prox.config.run import RunConfig
from spark_prox.errors import ProxError
from spark_prox.filters import FILTERED, REPEATED_LINES, filter_hashes
from spark_prox.warehouse.tables import Warehouse

__all__ = [
    "candidates",
    "counting",
    "dropped_documents",
    "filters_of_config",
    "hashes_before",
    "last_filters",
    "line_programs",
    "used_verdicts",
    "with_verdicts",
    "without_dropped",
]

_ID = ["doc_id", "doc_hash"]
_ANNOTATING = ("annotate-doc", "annotate-chunk")


def used_verdicts(warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
    """The stored verdicts of some filters under their settings.

    Args:
        hashes: of `spark_prox.filters.filter_hashes`.
    """
    return counting(warehouse.read("verdicts"), hashes)


def counting(verdicts: DataFrame, hashes: Mapping[str, str]) -> DataFrame:
    """Those of the rows that some filters decided under their settings."""
    rules = (f"(stage = '{name}' AND settings_hash = '{value}')" for name, value in hashes.items())
    return verdicts.where(" OR ".join(rules) or "false")


def dropped_documents(warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
    """(doc_id, doc_hash, drop_reason) of the documents that one of the filters drops, by the first that does."""
    place = F.create_map(*(F.lit(part) for pair in enumerate(hashes) for part in reversed(pair)))[F.col("stage")]
    dropped = used_verdicts(warehouse, hashes).where("verdict = 'drop'")
    return dropped.groupBy(*_ID).agg(F.min_by("reason", place).alias("drop_reason"))


def line_programs(warehouse: Warehouse, hashes: Mapping[str, str]) -> DataFrame:
    """(doc_id, doc_hash, line_program, decided_at) of the documents that a filter has a program for, or had one.

    Only rows of filters that write programs: `line_program` is null where nothing is to be removed.
    """
    writing = {name: value for name, value in hashes.items() if name == REPEATED_LINES}
    rows = used_verdicts(warehouse, writing)
    return rows.select(*_ID, F.col("program").alias("line_program"), "decided_at")


def with_verdicts(
    warehouse: Warehouse, programs: DataFrame, hashes: Mapping[str, str], decided: DataFrame | None = None
) -> DataFrame:
    """Documents with their programs (doc_program, doc_status, ...) and what filters say of them.

    A document that a filter drops says so where the document level's program would be. `line_program` removes lines.

    Args:
        decided: (doc_id, doc_hash, drop_reason, line_program) where it is known already, see `dropped_documents` and
            `line_programs`.
    """
    if not hashes:
        return programs.withColumn("line_program", F.lit(None).cast("string"))
    if decided is not None:
        found = programs.join(decided, _ID, "left")
    else:
        found = programs.join(dropped_documents(warehouse, hashes), _ID, "left")
        found = found.join(line_programs(warehouse, hashes).drop("decided_at"), _ID, "left")
    is_dropped = F.col("drop_reason").isNotNull()
    return found.withColumns(
        {
            "doc_program": F.coalesce("drop_reason", "doc_program"),
            "doc_status": F.when(is_dropped, FILTERED).otherwise(F.col("doc_status")),
        }
    )


def without_dropped(warehouse: Warehouse, hashes: Mapping[str, str], documents: DataFrame) -> DataFrame:
    """The documents (doc_id, doc_hash, ...) that none of the filters drops; all of them without filters."""
    if not hashes:
        return documents
    dropped = used_verdicts(warehouse, hashes).where("verdict = 'drop'").select(*_ID)
    return documents.join(dropped, _ID, "left_anti")


def candidates(warehouse: Warehouse, hashes: Mapping[str, str], only: DataFrame | None) -> DataFrame:
    """(doc_id, doc_hash, bucket) of the documents that go on to a model: those that no filter drops.

    Args:
        only: (doc_id) of the documents to look at; None for all.
    """
    documents = warehouse.read("documents").select(*_ID, "bucket")
    if only is not None:
        documents = documents.join(only, "doc_id", "left_semi")
    if hashes:
        warehouse.expect("verdicts")
    return without_dropped(warehouse, hashes, documents)


def filters_of_config(config: str) -> dict[str, str]:
    """Hashes of the filters that a run's configuration, as JSON, has on; none where it cannot be read."""
    try:
        tree = json.loads(config)
        return filter_hashes(build(RunConfig, tree if isinstance(tree, dict) else {}, "").filters)
    except (ValueError, ProxError):
        return {}


def last_filters(warehouse: Warehouse) -> dict[str, str]:
    """Hashes of the filters of the last run that decided, generated or executed: which stored verdicts count now."""
    if not warehouse.exists("runs"):
        return {}
    runs = warehouse.read("runs").where(F.col("config").isNotNull() & ~F.col("stage").isin("ingest", *_ANNOTATING))
    last = runs.orderBy(F.desc("started_at")).select("config").first()
    return {} if last is None else filters_of_config(str(last[0]))


def hashes_before(hashes: Mapping[str, str], name: str) -> dict[str, str]:
    """Those of the filters before one."""
    names = list(hashes)
    return {before: hashes[before] for before in names[: names.index(name)]}
