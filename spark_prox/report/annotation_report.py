"""A text report of annotation: labels by level, annotator and status, and the reasons of failures."""

from __future__ import annotations

from pyspark.sql import functions as F

from spark_prox.report.run_report import table
from spark_prox.warehouse.tables import Warehouse

__all__ = ["annotation_report"]


def annotation_report(warehouse: Warehouse) -> str:
    """A table of counts over all rows of `annotations`."""
    groups = ("stage", "model", "prompt", "status", "code")
    found = warehouse.read("annotations").groupBy(*groups).agg(F.count("*").alias("rows"))
    rows = [tuple("" if value is None else value for value in row) for row in found.orderBy(*groups).collect()]
    return table([*groups, "rows"], rows)
