"""Near duplicates: of documents that share most of their word 5-grams, one stays (MinHash-LSH, as FineWeb does it).

Documents with a band key in common are linked: each to the smallest of its bucket, so a bucket costs its size and not
its square. Connected components are duplicates of each other. Band keys are stored with the verdicts, so later runs
read no text twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.filters import NEAR_DUPLICATES
from spark_prox.stages.base import Run
from spark_prox.stages.components import components
from spark_prox.stages.duplicates import DuplicateFilter, preference
from spark_prox.stages.figures import StageFigures
from spark_prox.warehouse.texts import with_texts

__all__ = ["NearDuplicates"]

_ID = ("doc_id", "doc_hash")


class NearDuplicates(DuplicateFilter):
    """Documents that are nearly another one are dropped."""

    name = NEAR_DUPLICATES

    def decide(self, run: Run, work: DataFrame, figures: StageFigures) -> None:
        """See `Filter`."""
        settings, warehouse = run.config.filters.near_duplicates, run.warehouse
        progress = run.log.portion("signatures", documents=figures.planned)
        with warehouse.staged(self._signed(run, work.where("done IS NULL")), "signatures", progress) as new:
            nodes = new.unionByName(self._earlier(run, new))
            edges = _edges(nodes)
            with components(warehouse, edges, rounds=settings.max_rounds, progress=_rounds(run)) as found:
                roots = found.select(F.col("root").alias("node")).distinct().join(found, "node", "left_anti")
                whole = found.unionByName(roots.withColumn("root", F.col("node")))
                members = nodes.select("node", "place", *_ID).join(whole, "node")
                stays = members.groupBy("root").agg(F.min("place").alias("stays"))
                other = F.col("stays.doc_id")
                dropped = members.where("node >= 0").join(stays, "root").where(other != F.col("doc_id"))
                named = dropped.select("doc_id", other.alias("duplicate_of"))
                rows = new.select(*_ID, "keys").join(named, "doc_id", "left")
                is_dropped = F.col("duplicate_of").isNotNull()
                rows = rows.withColumns(
                    {
                        "verdict": F.when(is_dropped, "drop").otherwise("keep"),
                        "reason": F.when(is_dropped, "NEAR_DUPLICATE"),
                    }
                )
                replace = not work.where("done IS NULL AND stored").isEmpty()
                progress = run.log.portion("decide", documents=figures.planned)
                self.store(run, rows, figures, progress, replace=replace)

    def _signed(self, run: Run, pending: DataFrame) -> DataFrame:
        """(node, doc_id, doc_hash, keys, place) of the documents to decide; `place` is smallest for the one to keep."""
        settings = run.config.filters.near_duplicates
        documents = run.warehouse.read("documents").join(pending.select(*_ID), [*_ID], "left_semi")
        documents = with_texts(run.warehouse, documents).where("text IS NOT NULL")
        better = preference(run.warehouse, settings.keep, settings.date_column)
        function = run.functions.sign_documents(ngram=settings.ngram, bands=settings.bands, rows=settings.rows)
        texts = documents.select(*_ID, "text", better.alias("better"))
        signed = texts.mapInArrow(function, function.columns)
        place = F.struct(F.lit(1).alias("new"), "better", "doc_id").alias("place")
        return signed.select(F.monotonically_increasing_id().alias("node"), *_ID, "keys", place)

    def _earlier(self, run: Run, new: DataFrame) -> DataFrame:
        """The same of the documents that earlier runs decided, each standing for the one that stays, with node < 0."""
        held = self.holding(run)
        place = F.struct(F.lit(0).alias("new"), F.lit(0).cast("long").alias("better"), F.col("stays").alias("doc_id"))
        node = -F.shiftrightunsigned(F.xxhash64("doc_id"), 1) - 1
        rows = held.select(node.alias("node"), *_ID, "keys", place.alias("place"))
        wanted = new.select(F.explode("keys").alias("key")).distinct()
        near = rows.select("node", F.explode("keys").alias("key")).join(wanted, "key", "left_semi")
        return rows.join(near.select("node").distinct(), "node", "left_semi")


def _rounds(run: Run) -> Callable[[int], AbstractContextManager[object]]:
    return lambda number: run.log.portion(f"components, round {number}")


def _edges(nodes: DataFrame) -> DataFrame:
    """(node, root): of every bucket, each node and the smallest one."""
    members = nodes.select("node", F.explode("keys").alias("key"))
    heads = members.groupBy("key").agg(F.min("node").alias("root"), F.count("*").alias("size"))
    linked = members.join(heads.where("size > 1"), "key").where("node > root")
    return linked.select("node", "root").distinct()
