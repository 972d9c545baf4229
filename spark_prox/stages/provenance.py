"""The origin of an export: what each step left of the documents, and the runs, policies and models behind the rows.

Counts only, of fixed versions of the tables. Knows no export.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession

from spark_prox.config.export import Corpus
from spark_prox.export.manifest import FlowStep, Made
from spark_prox.stages.verdicts import counting
from spark_prox.warehouse.accounting import token_flow_sql
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.versions import at_version

__all__ = ["flow_of", "made_by"]

_MOST = 1_000
_GROUPS = (
    ("verdicts", "filter", "stage", "coalesce(reason, verdict)"),
    ("refined", "run", "run_id", "settings_hash"),
    ("refined", "policy", "policy", "policy_hash"),
    ("programs", "model", "concat(stage, ': ', model)", "concat_ws(' ', model_revision, template)"),
)


def flow_of(spark: SparkSession, warehouse: Warehouse, tables: Mapping[str, int]) -> tuple[FlowStep, ...]:
    """The documents that each step left, by source; nothing where no document was refined."""
    if "refined" not in tables:
        return ()
    at = {
        name: f"(SELECT * FROM {warehouse.name(name)} VERSION AS OF {tables[name]})"
        for name in ("documents", "refined")
    }
    sums = ", ".join(f"sum({name}) AS {name}" for name in ("documents", "tokens", "words", "uncounted"))
    rows = spark.sql(
        f"SELECT coalesce(source, '') AS source, step, stage, {sums} FROM ({token_flow_sql(**at)}) "
        f"GROUP BY 1, 2, 3 ORDER BY 1, 2 LIMIT {_MOST}"
    ).collect()
    return tuple(FlowStep(*row) for row in rows)


def made_by(
    spark: SparkSession, warehouse: Warehouse, tables: Mapping[str, int], corpus: Corpus, filters: Mapping[str, str]
) -> tuple[Made, ...]:
    """The settings that decided the rows, with numbers of rows; none for raw text.

    They are the reasons of filters, and for the corpora behind those also the runs and policies of `refined` and the
    models of `programs`.

    Args:
        filters: hashes of those whose verdicts count.
    """
    found = []
    for table, what, name, detail in _GROUPS:
        wanted = bool(filters) if table == "verdicts" else corpus != "rules"
        if table in tables and corpus != "raw" and wanted:
            rows = at_version(spark, warehouse, table, tables[table])
            if table == "programs" and corpus == "doc":
                rows = rows.where("stage = 'doc'")
            if table == "verdicts":
                rows = counting(rows, filters)
            groups = rows.selectExpr(f"{name} AS name", f"{detail} AS detail").groupBy("name", "detail").count()
            found += [Made(what, *row) for row in groups.orderBy("name", "detail").limit(_MOST).collect()]
    return tuple(found)
