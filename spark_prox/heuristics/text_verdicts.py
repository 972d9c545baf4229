"""Verdicts on one text, by rules or by its language. An error of ours keeps the document and says so in `detail`.

Knows no Spark; `udfs.filter` runs them on executors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from spark_prox.heuristics.language import identify_language
from spark_prox.heuristics.rules.verdicts import broken_rule

__all__ = ["TextVerdict", "judge_language", "judge_rules", "judged"]


class TextVerdict(NamedTuple):
    """A verdict: the reason for which a document is dropped, if it is.

    Attributes:
        reason: None for one that is kept.
        detail: the figure and its limit.
        language, score: where a language was identified.
    """

    reason: str | None = None
    detail: str | None = None
    language: str | None = None
    score: float | None = None


def judge_rules(text: str, *, sets: Sequence[str], c4_line_ends: bool) -> TextVerdict:
    """By published rules, see `broken_rule`."""
    broken = broken_rule(text, sets, c4_line_ends=c4_line_ends)
    return TextVerdict() if broken is None else TextVerdict(reason=broken[0], detail=broken[1] or None)


def judge_language(text: str, *, wanted: Collection[str], min_score: float) -> TextVerdict:
    """By language: one of the wanted ones (all where there are none), sure enough."""
    language, score = identify_language(text)
    found = TextVerdict(language=language or None, score=score)
    if wanted and language not in wanted:
        return found._replace(reason="LANGUAGE", detail=f"{language or 'none'} is not wanted")
    if score < min_score:
        return found._replace(reason="LANGUAGE_UNSURE", detail=f"{score:.3g} < {min_score:g}")
    return found


def judged(judge: Callable[[str], TextVerdict], text: str) -> TextVerdict:
    """The verdict, or that there was an error: one row must not cost a task of thousands."""
    try:
        return judge(text)
    except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        return TextVerdict(detail=f"FILTER_ERROR:{type(error).__name__}")
