"""Rows that say what is to be done, decided once and kept by the executors while a stage does it in batches.

Spark forgets what it has cached from a table as soon as the table is written, so that every batch would decide anew.
Rows that come from an RDD are not known to come from a table. Knows no stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame

__all__ = ["decided_once"]


@contextmanager
def decided_once(rows: DataFrame) -> Iterator[DataFrame]:
    """Keep rows as they are when they are first asked for.

    An executor that dies takes its part with it; that is computed again, from the same files of the tables.
    """
    spark = rows.sparkSession
    jdf = spark._jsparkSession.createDataFrame(rows._jdf.toJavaRDD(), rows._jdf.schema())
    kept = DataFrame(jdf, spark).persist()
    try:
        yield kept
    finally:
        kept.unpersist()
