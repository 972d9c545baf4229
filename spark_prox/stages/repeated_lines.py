"""Repeated lines: what many pages of a host share goes from all of them, by a program that the verdict carries.

Lines are counted by keys of their hashes (see `spark_prox.heuristics.repeated_lines`), which are stored with the
verdicts, so that later runs read no text twice. A host whose pages changed is decided anew as a whole: after any order
of runs, verdicts are those of one run over everything. Knows no line.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_prox.filters import REPEATED_LINES
from spark_prox.stages.addresses import normal_host
from spark_prox.stages.base import Run
from spark_prox.stages.dry_run import DryRun, PlannedStage
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.filter import Filter
from spark_prox.stages.verdicts import hashes_before, used_verdicts, without_dropped
from spark_prox.warehouse.texts import texts_of

__all__ = ["RepeatedLines", "repeated_places"]

_ID = ["doc_id", "doc_hash"]
_MILLION = 1_000_000


class RepeatedLines(Filter):
    """Pages lose the lines that repeat on their host; one of which too little stays is dropped."""

    name = REPEATED_LINES

    def work(self, run: Run, only: DataFrame | None) -> DataFrame:
        """See `Filter`: the pages of all hosts of which one has no verdict or one is gone, whatever `only` says.

        A page without a host has a verdict of its own. The work also has `host`, `pages` (of the host) and `known`:
        the keys of the page's lines are stored.
        """
        warehouse, hashes = run.warehouse, run.filters
        documents = warehouse.read("documents").select(*_ID, "bucket", normal_host(F.col("url")).alias("host"))
        present = without_dropped(warehouse, hashes_before(hashes, self.name), documents)
        stored = warehouse.read("verdicts").where(F.col("stage") == self.name)
        under = F.col("settings_hash") == hashes[self.name]
        decided = F.when(under, F.struct("doc_hash", "pages")).alias("decided")
        found = present.join(stored.select("doc_id", decided, F.lit(True).alias("stored")), "doc_id", "left")
        known = F.coalesce(F.col("decided.doc_hash") == F.col("doc_hash"), F.lit(False))
        sizes = found.where("host IS NOT NULL").groupBy("host").agg(F.count("*").alias("pages"))
        found = found.withColumn("known", known).join(sizes, "host", "left")
        holds = F.col("known") & F.col("decided.pages").eqNullSafe(F.col("pages"))
        stale = found.where(~holds & F.col("host").isNotNull()).select("host").distinct().withColumn("stale", F.lit(1))
        found = found.join(stale, "host", "left")
        done = F.when(F.col("stale").isNull() & holds, F.lit(True)).alias("done")
        return found.select(*_ID, "bucket", "host", "pages", "known", done, "stored")

    def plan(self, dry: DryRun) -> list[PlannedStage]:
        """See `Filter`; it is not known before the ingest to which hosts pages come."""
        also = "; all pages of the hosts that get or lose one are decided again"
        return [replace(line, note=line.note + also) if line.documents else line for line in super().plan(dry)]

    def decide(self, run: Run, work: DataFrame, figures: StageFigures) -> None:
        """See `Filter`."""
        settings, warehouse = run.config.filters.repeated_lines, run.warehouse
        pending = work.where("done IS NULL")
        hosts = pending.where("NOT known").select(*_ID, "host")
        unread = texts_of(warehouse, warehouse.read("documents").join(hosts, _ID, "left_semi")).join(hosts, _ID)
        function = run.functions.key_lines()
        progress = run.log.portion("read", documents=figures.planned)
        with warehouse.staged(unread.mapInArrow(function, function.columns), "line_keys", progress) as new:
            before = used_verdicts(warehouse, {self.name: run.filters[self.name]})
            known = before.join(pending.where("known").select(*_ID, "host"), _ID).select(*_ID, "host", "keys")
            pages = known.unionByName(new)
            lines = repeated_places(pages, settings.min_pages, settings.min_share, settings.max_pages)
            judge = run.functions.judge_lines(min_chars=settings.min_chars)
            judged = pages.join(lines, "doc_id", "left").select(*_ID, "keys", "repeated")
            rows = judged.mapInArrow(judge, judge.columns).join(pending.select(*_ID, "pages"), _ID)
            is_stored = not pending.where("stored").isEmpty()
            progress = run.log.portion("decide", documents=figures.planned)
            self.store(run, _with_time(rows, before), figures, progress, replace=is_stored)


def repeated_places(pages: DataFrame, min_pages: int, min_share: float, max_pages: int) -> DataFrame:
    """(doc_id, repeated): the numbers of the lines of pages (doc_id, host, keys) that repeat on their host.

    Of a host of more than `max_pages` pages, about so many are counted, chosen by a hash of their ids.
    """
    hosts = pages.where("host IS NOT NULL")
    sizes = hosts.groupBy("host").agg(F.count("*").alias("size"))
    share = F.pmod(F.xxhash64("doc_id"), F.lit(_MILLION)) / _MILLION
    counted = hosts.join(sizes.where("size >= 2"), "host").where(share < F.lit(max_pages) / F.col("size"))
    lines = counted.select("host", F.explode(F.array_distinct("keys")).alias("key")).where("key IS NOT NULL")
    on = lines.groupBy("host", "key").agg(F.count("*").alias("on")).where(F.col("on") >= min_pages)
    if min_share:
        asked = counted.groupBy("host").agg((F.count("*") * min_share).alias("asked"))
        on = on.join(asked, "host").where("on >= asked")
    places = hosts.select("doc_id", "host", F.posexplode("keys").alias("line", "key")).where("key IS NOT NULL")
    there = places.join(on.select("host", "key"), ["host", "key"], "left_semi")
    return there.groupBy("doc_id").agg(F.collect_list("line").alias("repeated"))


def _with_time(rows: DataFrame, before: DataFrame) -> DataFrame:
    """Verdicts with the time of their decision: the old one where nothing that a text shows has changed.

    The execute stage applies again what was decided after it.
    """
    same = [F.col(name).eqNullSafe(F.col(f"before.{name}")) for name in ("doc_hash", "verdict", "program")]
    unchanged = F.lit(True)
    for each in same:
        unchanged &= each
    old = before.select("doc_id", F.struct("doc_hash", "verdict", "program", "decided_at").alias("before"))
    time = F.coalesce(F.when(unchanged, F.col("before.decided_at")), F.current_timestamp())
    return rows.join(old, "doc_id", "left").withColumn("decided_at", time).drop("before")
