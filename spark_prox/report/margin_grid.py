"""Other margins without a model: stored programs of a sample, executed under a grid of thresholds.

Where people or a large model labelled lines, precision and recall of the removed lines stand beside. Knows no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from spark_prox.documents import Level
from spark_prox.execution import RefinedRow, execute_stored
from spark_prox.programs import Policy
from spark_prox.report.decisions import removed_lines
from spark_prox.report.line_labels import LineLabels
from spark_prox.report.page.model import GridPoint, MarginGrid
from spark_prox.report.story import Key, Story

__all__ = ["has_margins", "what_if"]

_MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
_SHORT_MARGINS = (None, 0.0, 0.5, 1.0, 2.0)

_MAX_WORK = 40_000_000
"""Characters that the whole grid may execute on the driver: some seconds."""


def has_margins(stories: Iterable[Story], keys: Mapping[Level, Key]) -> bool:
    """True where any program has line margins, without which no threshold changes anything."""
    return any(row.line_margins for story in stories for row in story.under(keys.get("chunk")))


def what_if(
    stories: Sequence[Story],
    labelled: Sequence[tuple[Story, LineLabels]],
    keys: Mapping[Level, Key],
    *,
    policy: Policy,
    dialect: str,
    labels_by: str = "",
) -> MarginGrid:
    """The grid over a sample; the policy's own margins are one of its points.

    Args:
        stories: a random sample, for tokens and words.
        labelled: documents with labels, for precision and recall.
    """
    own = policy.min_remove_margin
    margins = sorted({*_MARGINS, own} if own is not None else {*_MARGINS})
    shorts = [
        *_SHORT_MARGINS,
        *(() if policy.min_remove_margin_short in _SHORT_MARGINS else (policy.min_remove_margin_short,)),
    ]
    rounds = len(margins) * len(shorts)
    stories, labelled = (
        _affordable(stories, rounds),
        labelled[: max(1, len(_affordable([s for s, _ in labelled], rounds)))],
    )
    points = []
    for margin in margins:
        for short in shorts:
            rules = replace(policy, min_remove_margin=margin, min_remove_margin_short=short)
            rows = [_execute(story, keys, rules, dialect) for story in stories]
            pairs = [(_execute(story, keys, rules, dialect), story, labels) for story, labels in labelled]
            points.append(_point(margin, short, rows, pairs))
    return MarginGrid(
        points=points,
        documents=len(stories),
        labelled=len(labelled),
        labelled_lines=sum(len(labels.labelled) for _, labels in labelled),
        labels_by=labels_by,
    )


def _affordable(stories: Sequence[Story], rounds: int) -> Sequence[Story]:
    chars = 0
    for number, story in enumerate(stories):
        chars += len(story.text) * rounds
        if chars > _MAX_WORK and number:
            return stories[:number]
    return stories


def _execute(story: Story, keys: Mapping[Level, Key], policy: Policy, dialect: str) -> RefinedRow:
    level = next(iter(story.under(keys.get("doc"))), None)
    return execute_stored(
        story.text,
        doc_program=level.program if level is not None else "keep_doc()",
        doc_status=(level.status if level is not None else None) if "doc" in keys else "OFF",
        doc_margin=level.margin if level is not None else None,
        chunks=story.chunks(keys.get("chunk")),
        policy=policy,
        dialect=dialect,
        line_program=story.line_program,
    )


def _point(
    margin: float,
    short: float | None,
    rows: Sequence[RefinedRow],
    labelled: Sequence[tuple[RefinedRow, Story, LineLabels]],
) -> GridPoint:
    chars = sum(row.chars_before for row in rows)
    kept = [row for row in rows if row.outcome != "DROPPED"]
    words = sum(row.words_before for row in kept)
    right = gone = wanted = 0
    for row, story, labels in labelled:
        removed = (
            labels.labelled if row.outcome == "DROPPED" else removed_lines(story.text, row.edits)
        ) & labels.labelled
        right, gone, wanted = right + len(removed & labels.removed), gone + len(removed), wanted + len(labels.removed)
    return GridPoint(
        margin=margin,
        short=short,
        kept_tokens=sum(row.chars_after for row in rows) / chars if chars else 1.0,
        removed_words=1 - sum(row.words_after for row in kept) / words if words else 0.0,
        refused=sum(row.outcome == "REFUSED" for row in rows),
        dropped=len(rows) - len(kept),
        precision=right / gone if gone else None,
        recall=right / wanted if wanted else None,
    )
