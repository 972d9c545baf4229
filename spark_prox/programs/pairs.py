"""From a pair (original, cleaned) to the program that makes one of the other: RefineX's way (arXiv 2507.03253).

A large model writes the cleaned text, the difference gives the program, and the program is run to see whether it really
gives the cleaned text. By default only deletions are taken over: what the model added or reworded is left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spark_prox.programs.dialects import dialect_for
from spark_prox.programs.linediff import Change, diff_line, plan_lines
from spark_prox.programs.ops import AddLine, Op, RemoveLines, ReplaceInLine, ReplaceText
from spark_prox.programs.refine import refine_text
from spark_prox.programs.write import format_program, line_ranges

__all__ = ["PairProgram", "program_from_pair"]


@dataclass(frozen=True, kw_only=True)
class PairProgram:
    """A program made from a pair.

    Attributes:
        program: its text.
        ops: its operations; empty for a keep call.
        text: what the program makes of the original; None if it drops it.
        exact: whether that is the cleaned text, character by character.
        confidence: 1 if exact, else the share of words that the program's text and the cleaned text have in common.
        accepted: whether the confidence is enough.
    """

    program: str
    ops: tuple[Op, ...]
    text: str | None
    exact: bool
    confidence: float
    accepted: bool


def program_from_pair(
    original: str,
    cleaned: str,
    *,
    deletions_only: bool = True,
    dialect: str = "prox",
    min_confidence: float = 0.98,
) -> PairProgram:
    """The program that turns `original` into `cleaned`, as far as the dialect has words for it.

    Args:
        original: the whole text; line numbers count from its first line.
        cleaned: the same text after cleaning.
        deletions_only: leave out what was added or reworded.
        dialect: prox uses `normalize` with enough context to be unique in the text, ultrax `replace_str` with enough
            to be unique in the line, refinex `remove_str` where the deleted string itself is unique in its line.
        min_confidence: least confidence of an accepted pair, from 0 to 1; doubtful pairs are for throwing out.

    Raises:
        ConfigError: DIALECT_UNKNOWN.
    """
    before, after = original.split("\n"), cleaned.split("\n")
    plan = plan_lines(before, after)
    changes: dict[int, list[Change]] = {}
    for old, new in plan.changed:
        found = [change for change in diff_line(before[old], after[new]) or () if not deletions_only or not change.new]
        if found:
            changes[old] = found
    removed = set(plan.removed)
    staying = "\n".join(line for number, line in enumerate(before) if number not in removed)
    write = dialect_for(dialect).write
    if write(ReplaceText("a", "b")) is not None:
        ops = _in_text(staying, before, changes)
    else:
        ops = _in_lines(before, changes, replaces=write(ReplaceInLine(0, "a", "b")) is not None)
    if write(AddLine(0, 0, "a")) is not None and not deletions_only:
        ops += [AddLine(place, order, after[new]) for order, (place, new) in enumerate(plan.added)]
    ops += [RemoveLines(first, last) for first, last in line_ranges(plan.removed)]
    return _checked(original, cleaned, ops, dialect, min_confidence)


def _in_text(staying: str, lines: list[str], changes: dict[int, list[Change]]) -> list[Op]:
    """Replacements that act on the whole text: one for all places if every place is meant, else with context."""
    wanted: Counter[tuple[str, str]] = Counter()
    for line, found in changes.items():
        wanted.update((lines[line][change.start : change.stop], change.new) for change in found)
    everywhere = {
        pair
        for pair, count in wanted.items()
        if len(pair[0]) > 1 and not pair[0].isspace() and staying.count(pair[0]) == count
    }
    ops: list[Op] = [
        ReplaceText(source, target) for source, target in sorted(everywhere, key=lambda pair: -len(pair[0]))
    ]
    for line, found in changes.items():
        text = lines[line]
        rest = [change for change in found if (text[change.start : change.stop], change.new) not in everywhere]
        ops += [ReplaceText(source, target) for source, target in _with_context(text, rest, staying)]
    return ops


def _in_lines(lines: list[str], changes: dict[int, list[Change]], *, replaces: bool) -> list[Op]:
    """Edits of single lines: replacements with context, or, in a dialect that has none, deletions of what is unique."""
    ops: list[Op] = []
    for line, found in changes.items():
        text = lines[line]
        if replaces:
            ops += [ReplaceInLine(line, source, target) for source, target in _with_context(text, found, text)]
            continue
        for change in found:
            source = text[change.start : change.stop]
            if not change.new and text.count(source) == 1:
                ops.append(ReplaceInLine(line, source))
    return ops


def _with_context(line: str, changes: list[Change], unique_in: str) -> list[tuple[str, str]]:
    """Old and new string of each change, with as many neighbours as make it unique; changes that meet are merged.

    A change that the whole line does not make unique is left out: it would hit other places too.
    """
    spans: list[tuple[int, int, list[Change]]] = []
    for change in changes:
        span = _unique_span(line, change, unique_in)
        if span is None:
            continue
        if spans and span[0] < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], span[1]), [*spans[-1][2], change])
        else:
            spans.append((*span, [change]))
    return [_pair(line, start, stop, merged) for start, stop, merged in spans]


def _unique_span(line: str, change: Change, unique_in: str) -> tuple[int, int] | None:
    start, stop, step = change.start, change.stop, 1
    while True:
        source = line[start:stop]
        if source.strip() and unique_in.find(source) == unique_in.rfind(source):
            return start, stop
        if start == 0 and stop == len(line):
            return None
        start, stop = max(0, start - step), min(len(line), stop + step)
        step += step // 2 + 1


def _pair(line: str, start: int, stop: int, changes: list[Change]) -> tuple[str, str]:
    pieces: list[str] = []
    position = start
    for change in changes:
        pieces += (line[position : change.start], change.new)
        position = change.stop
    return line[start:stop], "".join(pieces) + line[position:stop]


def _checked(original: str, cleaned: str, ops: list[Op], dialect: str, min_confidence: float) -> PairProgram:
    program = format_program(ops, dialect)
    text = refine_text(original, program, dialect=dialect, policy="permissive").text
    exact = text == cleaned
    confidence = 1.0 if exact else _common_words(text or "", cleaned)
    return PairProgram(
        program=program,
        ops=tuple(ops),
        text=text,
        exact=exact,
        confidence=confidence,
        accepted=confidence >= min_confidence,
    )


def _common_words(left: str, right: str) -> float:
    """Dice's coefficient of the two bags of words."""
    one, other = Counter(left.split()), Counter(right.split())
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else float(left == right)
