"""How a stage cuts its documents into portions: ranges of `documents.bucket`, a small one first.

The first portion is just evidence enough for the guard rails, so that a model that is wrong from the start costs that
much and no more. Knows of rows only their ids.
"""

from __future__ import annotations

import itertools
import math

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_prox.warehouse.schemas import BUCKETS

__all__ = ["bucket_between", "bucket_of", "portions"]


def bucket_of(doc_id: str) -> Column:
    """The value of `documents.bucket`, by the name of a column of ids."""
    return F.pmod(F.xxhash64(doc_id), F.lit(BUCKETS)).cast("int")


def bucket_between(start: int, stop: int) -> Column:
    """True for the rows of a portion in a table without a column `bucket`."""
    if (start, stop) == (0, BUCKETS):
        return F.lit(True)
    return (bucket_of("doc_id") >= start) & (bucket_of("doc_id") < stop)


def portions(documents: int, most: int, first: int) -> list[tuple[int, int]]:
    """Bucket ranges [start, stop) that together are all buckets.

    Args:
        documents: how many there are, spread evenly over the buckets.
        most: documents in one portion.
        first: documents wanted in the first one; it is made a quarter larger, because buckets are only about even.

    Returns:
        Nothing for no documents.
    """
    if documents < 1:
        return []
    start = math.ceil(1.25 * first)
    head = 0 < start < min(most, documents) / 2
    begin = max(BUCKETS * start // documents, 1) if head else 0
    rest = math.ceil((documents - start if head else documents) / most)
    edges = [begin + (BUCKETS - begin) * edge // rest for edge in range(rest + 1)]
    return [*([(0, begin)] if begin else []), *itertools.pairwise(edges)]
