"""The short way for the usual program: the refined text alone, without records.

Nearly all programs are a few canonical calls, one a line, with ranges inside the document. For those the text comes out
of a handful of string operations; whatever is less plain gives None and goes the long way, which also makes the records
when they are asked for. Both ways give the same text: a property test holds them together.
"""

from __future__ import annotations

import re

from spark_prox.programs.policy import Policy
from spark_prox.programs.words import has_more_words_than, words_to_clear

__all__ = ["express_text"]

_MAX_PROGRAM_CHARS = 4096
_MOST_PATCHES_COST = 1 << 20


def express_text(text: str, program: str, quick: re.Pattern[str], rules: Policy) -> str | None:
    """The text after a plain program: `text` itself where it only keeps, None where it is not plain.

    Args:
        text: a document with at least one word.
        quick: pattern of one plain call in its line, with the groups (all of it, first line, last line, source, target,
            keep call).
    """
    if len(program) > _MAX_PROGRAM_CHARS or rules.max_removed_of_chunk is not None:
        return None
    rows = quick.findall(program)
    covered = 0
    ranges: list[tuple[int, int]] = []
    pairs: list[tuple[str, str]] = []
    for whole, first, last, source, target, keep in rows:
        covered += len(whole)
        if first:
            span = (int(first), int(last))
            if span[0] > span[1]:
                return None
            ranges.append(span)
        elif not keep:
            if source in ("", " ", target) or len(target) > len(source):
                return None
            pairs.append((source, target))
    if covered != len(program) or not rows or (len(rows) > 4 and _may_loop(rows, rules)):
        return None
    refined = text
    most_removed = 0  # in words
    if pairs:
        if len(pairs) * (len(text) + _MOST_PATCHES_COST) > rules.max_work_chars:
            return None
        for source, target in pairs:
            refined = refined.replace(source, target)
            if target:
                most_removed = len(text)
        most_removed += len(text) - len(refined)
    if ranges:
        cut = _cut_lines(refined, ranges)
        if cut is None:
            return None
        most_removed += (len(refined) - len(cut)) // 2 + len(ranges)
        refined = cut
    enough = rules.min_words_after - 1
    if ranges or pairs:
        if refined == text:
            return None
        if rules.max_removed_of_document is not None:
            enough = max(enough, words_to_clear(most_removed, 1 - rules.max_removed_of_document))
    return refined if has_more_words_than(refined, enough) else None


def _may_loop(rows: list[tuple[str, ...]], rules: Policy) -> bool:
    """Whether the policy might refuse this many calls, or the same calls this often."""
    limit = rules.max_repeats
    if rules.max_calls is not None and len(rows) > rules.max_calls:
        return True
    return limit is not None and len(rows) > limit and len({row[1:] for row in rows}) < len(rows)


def _cut_lines(text: str, ranges: list[tuple[int, int]]) -> str | None:
    """The text without these lines, None unless all of them are there."""
    if len(ranges) > 1:
        ranges = _merged(ranges)
    wanted = ranges[-1][1] + 1
    lines = text.split("\n", wanted)  # what lies behind stays one piece
    if len(lines) < wanted:
        return None
    for first, last in reversed(ranges):
        del lines[first : last + 1]
    return "\n".join(lines)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union, ascending and disjoint."""
    ranges.sort()
    merged: list[tuple[int, int]] = []
    end = -1
    for span in ranges:
        first, last = span
        if first > end:
            merged.append(span)
        elif last > end:
            merged[-1] = (merged[-1][0], last)
        end = max(end, last)
    return merged
