"""The short way for the usual program: the refined text alone, without records.

Nearly all programs are a few canonical calls, one a line, with ranges inside the document. For those the text comes out
of a handful of string operations; whatever is less plain gives None and goes the long way, which also makes the records
when they are asked for. Both ways give the same text: a property test holds them together.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from spark_prox.programs.plan import ends_in_a_loop
from spark_prox.programs.policy import Policy
from spark_prox.programs.words import count_words, has_more_words_than, words_to_clear

__all__ = ["express_text"]

_MAX_PROGRAM_CHARS = 1024
_MOST_PATCHES_COST = 1 << 20
_SHORTEST_LOOP = 4


class _Plain(NamedTuple):
    """A plain program and what it asks for. Tuples of tuples: the garbage collector soon stops looking at them."""

    calls: int
    editing: tuple[tuple[str, ...], ...]  # the editing calls, where there are enough for a loop
    ranges: tuple[tuple[int, int], ...]  # ascending and disjoint
    pairs: tuple[tuple[str, str], ...]
    cuts_only: bool  # no pair puts anything in


def express_text(text: str, program: str, quick: re.Pattern[str], rules: Policy) -> str | None:
    """The text after a plain program: `text` itself where it only keeps, None where it is not plain.

    Args:
        text: a document with at least one word.
        quick: pattern of one plain call in its line, with the groups (all of it, first line, last line, source, target,
            keep call).
    """
    plain = _read_plain(program, quick) if len(program) <= _MAX_PROGRAM_CHARS else None
    if plain is None or rules.max_removed_of_chunk is not None or _may_be_refused(plain, rules):
        return None
    _, _, ranges, pairs, cuts_only = plain
    refined = text
    most_removed = 0  # in words
    if pairs:
        if len(pairs) * (len(text) + _MOST_PATCHES_COST) > rules.max_work_chars:
            return None
        for source, target in pairs:
            refined = _replaced(refined, source, target)
        most_removed = len(text) - len(refined) if cuts_only else len(text)
    if ranges:
        cut = _cut_lines(refined, ranges)
        if cut is None:
            return None
        most_removed += (len(refined) - len(cut)) // 2 + len(ranges)
        refined = cut
    elif not pairs:
        return text if has_more_words_than(text, rules.min_words_after - 1) else None
    return refined if refined != text and _stays(text, refined, most_removed, rules) else None


@lru_cache(maxsize=8192)  # models repeat themselves: a keep call, the first line, the last
def _read_plain(program: str, quick: re.Pattern[str]) -> _Plain | None:
    rows = quick.findall(program)
    covered, reached = 0, -1
    ranges: list[tuple[int, int]] = []
    pairs: list[tuple[str, str]] = []
    ascending = cuts_only = True
    for whole, first, last, source, target, keep in rows:
        covered += len(whole)
        if first:
            start, end = int(first), int(last)
            if start > end:
                return None
            if start <= reached:
                ascending = False
            reached = end
            ranges.append((start, end))
        elif not keep:
            if source in ("", " ", target) or len(target) > len(source):
                return None
            if target:
                cuts_only = False
            pairs.append((source, target))
    if covered != len(program) or not rows:
        return None
    return _Plain(
        len(rows),
        tuple([row[1:5] for row in rows if not row[5]]) if len(rows) > _SHORTEST_LOOP else (),
        tuple(ranges if ascending else _merged(ranges)),
        tuple(pairs),
        cuts_only,
    )


def _may_be_refused(plain: _Plain, rules: Policy) -> bool:
    """Whether the policy may refuse so many calls, or the same ones so often."""
    if rules.max_calls is not None and plain.calls > rules.max_calls:
        return True
    if rules.max_repeats is None:
        return False
    return rules.max_repeats < _SHORTEST_LOOP or bool(
        plain.editing and ends_in_a_loop(plain.editing, rules.max_repeats)
    )


def _stays(text: str, refined: str, most_removed: int, rules: Policy) -> bool:
    """Whether enough words are left for the policy; counts them only where a bound does not settle it."""
    few = rules.min_words_after - 1
    if rules.max_removed_of_document is None:
        return has_more_words_than(refined, few)
    share = 1 - rules.max_removed_of_document
    if has_more_words_than(refined, max(few, words_to_clear(most_removed, share))):
        return True
    left = count_words(refined)
    return left > few and left / count_words(text) > share


def _replaced(text: str, source: str, target: str) -> str:
    """`text.replace(source, target)`, in one search where there is at most one place, as there nearly always is."""
    at = text.find(source)
    if at < 0:
        return text
    after = at + len(source)
    if text.find(source, after) < 0:
        return text[:at] + target + text[after:]
    return text.replace(source, target)


def _cut_lines(text: str, ranges: tuple[tuple[int, int], ...]) -> str | None:
    """The text without these ascending, disjoint runs of lines; None unless all of them are there."""
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
