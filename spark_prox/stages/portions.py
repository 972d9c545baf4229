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

__all__ = ["bucket_between", "bucket_of", "portions", "programs_between"]


def bucket_of(doc_id: str) -> Column:
    """The bucket that a hash gives, by the name of a column of ids: that of every document whose text was copied."""
    return F.pmod(F.xxhash64(doc_id), F.lit(BUCKETS)).cast("int")


def bucket_between(start: int, stop: int) -> Column:
    """True for the rows of a portion: documents, or what was decided of them with their bucket."""
    if (start, stop) == (0, BUCKETS):
        return F.lit(True)
    return (F.col("bucket") >= start) & (F.col("bucket") < stop)


def programs_between(start: int, stop: int) -> Column:
    """True for the programs of documents whose texts were copied and whose bucket is in a range.

    Statistics of `programs.bucket` leave out files. Rows from before there was this column have none.
    """
    if (start, stop) == (0, BUCKETS):
        return F.lit(True)
    by_hash = bucket_of("doc_id")
    return (F.col("bucket").isNull() | bucket_between(start, stop)) & (by_hash >= start) & (by_hash < stop)


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
