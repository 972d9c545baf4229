"""Exact duplicates: of documents with one address, and then of those with one text, one stays.

The address comes first: of two captures of a page with different texts the policy chooses one. Documents are compared
by hashes of 128 bits, which are stored with the verdicts, so that later runs read no text twice.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_prox.filters import EXACT_DUPLICATES
from spark_prox.stages.addresses import normal_address
from spark_prox.stages.base import Run
from spark_prox.stages.duplicates import DuplicateFilter, preference
from spark_prox.stages.figures import StageFigures
from spark_prox.warehouse.texts import with_texts

__all__ = ["ExactDuplicates"]

_COLUMNS = ["doc_id", "doc_hash", "url_key", "text_key", "place"]


class ExactDuplicates(DuplicateFilter):
    """Documents with the address or the text of another one are dropped."""

    name = EXACT_DUPLICATES

    def decide(self, run: Run, work: DataFrame, figures: StageFigures) -> None:
        """See `Filter`."""
        settings, warehouse = run.config.filters.exact_duplicates, run.warehouse
        pending = work.where("done IS NULL").select("doc_id", "doc_hash")
        documents = warehouse.read("documents").join(pending, ["doc_id", "doc_hash"], "left_semi")
        documents = with_texts(warehouse, documents).where("text IS NOT NULL")
        better = preference(warehouse, settings.keep, settings.date_column)
        text = F.trim(F.regexp_replace("text", r"\s+", " ")) if settings.normalize_space else F.col("text")
        prints = documents.select(
            *("doc_id", "doc_hash"),
            (_hash(normal_address(F.col("url"))) if settings.url else _no_key()).alias("url_key"),
            (_hash(text) if settings.text else _no_key()).alias("text_key"),
            F.struct(F.lit(1).alias("new"), better.alias("better"), "doc_id").alias("place"),
        )
        text_key = F.when(F.col("stays") == F.col("doc_id"), F.get("keys", F.lit(1)))
        at = F.struct(F.lit(0).alias("new"), F.lit(0).cast("long").alias("better"), F.col("stays").alias("doc_id"))
        url_key = F.get("keys", F.lit(0)).alias("url_key")
        old = self.holding(run).select("doc_id", "doc_hash", url_key, text_key.alias("text_key"), at.alias("place"))
        progress = run.log.portion("read", documents=figures.planned)
        with warehouse.staged(prints.select(*_COLUMNS), "prints", progress) as new:
            found = _compared(old.select(*_COLUMNS), new)
            verdict = F.when(F.col("reason").isNull(), "keep").otherwise("drop")
            stored = not work.where("done IS NULL AND stored").isEmpty()
            progress = run.log.portion("decide", documents=figures.planned)
            self.store(run, found.withColumn("verdict", verdict), figures, progress, replace=stored)


def _compared(old: DataFrame, new: DataFrame) -> DataFrame:
    """(doc_id, doc_hash, keys, duplicate_of, reason) of new documents, compared with old ones and with each other."""
    by_url = _first(old.unionByName(new), "url_key")
    urls = new.join(by_url, "url_key", "left").withColumn("same_url", _other("first"))
    left = urls.where("same_url IS NULL").select(*_COLUMNS)
    by_text = _first(old.unionByName(left), "text_key")
    texts = left.join(by_text, "text_key", "left").select("doc_id", _other("first").alias("same_text"))
    # A page's better capture may have the text of another page: that page stays for both captures.
    beyond = texts.select(F.col("doc_id").alias("same_url"), F.col("same_text").alias("beyond"))
    rows = urls.join(texts, "doc_id", "left").join(beyond, "same_url", "left")
    reason = F.when(F.col("same_url").isNotNull(), "DUPLICATE_URL").when(
        F.col("same_text").isNotNull(), "DUPLICATE_TEXT"
    )
    return rows.select(
        *("doc_id", "doc_hash"),
        F.array("url_key", "text_key").alias("keys"),
        F.coalesce("beyond", "same_url", "same_text").alias("duplicate_of"),
        reason.alias("reason"),
    )


def _hash(value: Column) -> Column:
    """128 bits: two of ten billion documents share one by accident with a probability below 10^-18."""
    return F.substring(F.unhex(F.sha2(value, 256)), 1, 16)


def _no_key() -> Column:
    return F.lit(None).cast("binary")


def _first(rows: DataFrame, key: str) -> DataFrame:
    """(key, first): by key, the place of the document that stays."""
    return rows.where(F.col(key).isNotNull()).groupBy(key).agg(F.min("place").alias("first"))


def _other(first: str) -> Column:
    """The id in a place, where it is another document's."""
    other = F.col(f"{first}.doc_id")
    return F.when(other != F.col("doc_id"), other)
