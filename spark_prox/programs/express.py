"""The short way for the usual program: the refined text and the outcome, without records.

Nearly all programs are a few canonical calls, one a line, with ranges inside the document. For those the text comes out
of a handful of string operations; whatever is less plain gives None and goes the long way, which also makes the records
when they are asked for. Both ways give the same result: a property test holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

from spark_prox.programs.errors import Code
from spark_prox.programs.plan import ends_in_a_loop
from spark_prox.programs.policy import Policy
from spark_prox.programs.refinement import Outcome
from spark_prox.programs.words import count_words, has_more_words_than, words_to_clear

__all__ = ["PlainReader", "express_text", "plain_reader"]

_MAX_PROGRAM_CHARS = 1024
_MOST_PATCHES_COST = 1 << 20
_SHORTEST_LOOP = 4
_EDITED, _EDITS = Outcome.EDITED, Code.EDITS  # looked up once: an enum's attribute takes longer than a word count
_TOO_FEW = None, Outcome.DROPPED, Code.FEW_WORDS
_WIPED = None, Outcome.DROPPED, Code.DOCUMENT_WIPED


_Call = tuple[int, int, str, str]
"""First and last line of a removal, both -1 for a replacement with its two strings, both -2 for a keep call."""

_Plain = tuple[int, tuple[_Call, ...], tuple[tuple[int, int], ...], tuple[tuple[str, str], ...], bool]
"""A plain program: how many calls; the editing ones, where there are enough for a loop; ascending, disjoint ranges of
lines; replacements; whether none puts anything in. Of tuples: the garbage collector soon stops looking at those."""

Expressed = tuple["str | None", Outcome, Code]
"""The refined text, the outcome and its reason. The text is the very object that went in where nothing changed."""

PlainReader = Callable[[str], "_Plain | None"]


def plain_reader(quick: re.Pattern[str]) -> PlainReader:
    """Read plain programs of one spelling, remembering the last ones: models repeat themselves.

    Args:
        quick: pattern of one plain call in its line, with the groups (all of it, first line, last line, source, target,
            keep call).
    """
    # One memory for each pattern: as part of the key, a pattern would be hashed at every call.
    read_line = lru_cache(maxsize=8192)(partial(_read_line, quick))
    return lru_cache(maxsize=8192)(partial(_read_plain, read_line))


def express_text(text: str, program: str, read: PlainReader, rules: Policy) -> Expressed | None:
    """The result of a plain program; None where it is not plain.

    Args:
        text: a document with at least one word.
        read: from `plain_reader`.
    """
    plain = read(program) if len(program) <= _MAX_PROGRAM_CHARS else None
    if plain is None or rules.max_removed_of_chunk is not None:
        return None
    calls, editing, ranges, pairs, cuts_only = plain
    if _may_be_refused(calls, editing, rules):
        return None
    refined = text
    most_removed = 0  # in words
    if ranges:  # first: strings of a plain program stay within a line, so the order does not matter
        cut = _cut_lines(text, ranges)
        if cut is None:
            return None
        most_removed = (len(text) - len(cut)) // 2 + len(ranges)
        refined = cut
    if pairs:
        if len(pairs) * (len(text) + _MOST_PATCHES_COST) > rules.max_work_chars:
            return None
        before = len(refined)
        for source, target in pairs:
            refined = _replaced(refined, source, target)
        most_removed += before - len(refined) if cuts_only else before
    if refined == text:
        if rules.min_words_after and not has_more_words_than(text, rules.min_words_after - 1):
            return _TOO_FEW
        return text, Outcome.KEPT, Code.NO_EFFECT if pairs else Code.KEEP_CALL
    return _judged(text, refined, most_removed, rules)


def _read_line(quick: re.Pattern[str], line: str) -> _Call | None:
    call = quick.fullmatch(line)
    if call is None:
        return None
    _, first, last, source, target, keep = call.groups("")
    if first:
        start, end = int(first), int(last)
        return (start, end, "", "") if start <= end else None
    if keep:
        return (-2, -2, "", "")
    return None if source in ("", " ", target) or len(target) > len(source) else (-1, -1, source, target)


def _read_plain(read_line: Callable[[str], _Call | None], program: str) -> _Plain | None:
    lines = program.split("\n")
    if not lines[-1] and len(lines) > 1:
        del lines[-1]
    reached = -1
    editing: list[_Call] = []
    ranges: list[tuple[int, int]] = []
    pairs: list[tuple[str, str]] = []
    ascending = cuts_only = True
    for line in lines:
        call = read_line(line)
        if call is None:
            return None
        start, end, source, target = call
        if start >= 0:
            if start <= reached:
                ascending = False
            reached = end
            ranges.append((start, end))
        elif start == -2:
            continue
        else:
            if target:
                cuts_only = False
            pairs.append((source, target))
        editing.append(call)
    return (
        len(lines),
        tuple(editing) if len(lines) > _SHORTEST_LOOP else (),
        tuple(ranges if ascending else _merged(ranges)),
        tuple(pairs),
        cuts_only,
    )


def _may_be_refused(calls: int, editing: tuple[_Call, ...], rules: Policy) -> bool:
    """True if the policy may refuse so many calls, or the same ones so often."""
    if rules.max_calls is not None and calls > rules.max_calls:
        return True
    if rules.max_repeats is None:
        return False
    return rules.max_repeats < _SHORTEST_LOOP or bool(editing and ends_in_a_loop(editing, rules.max_repeats))


def _judged(text: str, refined: str, most_removed: int, rules: Policy) -> Expressed:
    """True if enough words are left for the policy; counts them only where a bound does not settle it."""
    few, limit = rules.min_words_after - 1, rules.max_removed_of_document
    enough = few if limit is None else max(few, words_to_clear(most_removed, 1 - limit))
    if has_more_words_than(refined, enough):
        return refined, _EDITED, _EDITS
    left = count_words(refined)
    if limit is not None and left / count_words(text) <= 1 - limit:
        return _WIPED if rules.when_wiped == "drop" else (text, Outcome.REFUSED, Code.DOCUMENT_WIPED)
    return (refined, _EDITED, _EDITS) if left > few else _TOO_FEW


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
