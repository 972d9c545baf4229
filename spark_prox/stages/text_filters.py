"""Filters that look at one text at a time: by its language, and by published rules.

A portion of documents is one commit, as at the levels. Knows what decides only as callables that it is given.
"""

from __future__ import annotations

import math
from abc import abstractmethod

from pyspark.sql import DataFrame

from spark_prox.config.run import RunConfig
from spark_prox.filters import LANGUAGE, RULES
from spark_prox.functions import TextJudge
from spark_prox.heuristics.language import check_identifier
from spark_prox.stages.base import Run
from spark_prox.stages.figures import StageFigures
from spark_prox.stages.filter import Filter
from spark_prox.stages.portions import bucket_between, portions
from spark_prox.warehouse.schemas import BUCKETS
from spark_prox.warehouse.texts import texts_of

__all__ = ["Language", "Rules"]


class _TextFilter(Filter):
    """Each document is decided by its own text."""

    @abstractmethod
    def judge(self, run: Run) -> TextJudge:
        """The callable that runs on the executors."""

    def decide(self, run: Run, work: DataFrame, figures: StageFigures) -> None:
        """See `Filter`."""
        pending, function = work.where("done IS NULL"), self.judge(run)
        replace = not pending.where("stored").isEmpty()
        ranges = portions(figures.planned, run.portion_documents, 0)
        for portion, (first, stop) in enumerate(ranges):
            in_range = bucket_between(first, stop)
            documents = run.warehouse.read("documents").where(in_range)
            wanted = documents.join(pending.where(in_range), ["doc_id", "doc_hash"], "left_semi")
            texts = texts_of(run.warehouse, wanted)
            size = math.ceil(figures.planned * (stop - first) / BUCKETS)
            progress = run.log.portion(number=portion + 1, count=len(ranges), documents=size)
            self.store(run, texts.mapInArrow(function, function.columns), figures, progress, replace=replace)


class Language(_TextFilter):
    """Documents in other languages than the wanted ones are dropped."""

    name = LANGUAGE

    def check(self, config: RunConfig) -> None:
        """See `Stage`: the model is there."""
        if config.filters.language.enabled:
            check_identifier()

    def judge(self, run: Run) -> TextJudge:
        """See `_TextFilter`."""
        settings = run.config.filters.language
        return run.functions.judge_language(wanted=settings.keep, min_score=settings.min_score)


class Rules(_TextFilter):
    """Documents that break a published rule are dropped."""

    name = RULES

    def judge(self, run: Run) -> TextJudge:
        """See `_TextFilter`."""
        settings = run.config.filters.rules
        return run.functions.judge_rules(sets=settings.sets, c4_line_ends=settings.c4_line_ends)
