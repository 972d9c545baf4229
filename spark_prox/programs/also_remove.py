"""Remove lines from a text that has been edited already, with every edit on record against the original.

For lines that no model chose: they go whatever a policy says of the model's program. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from spark_prox.programs.assemble import applied, merged_spans, removal_spans
from spark_prox.programs.edits import Edit, edited_lines, removed_lines
from spark_prox.programs.lines import LineIndex, Removal, disjoint_removals
from spark_prox.programs.ops import RemoveLines
from spark_prox.programs.parse import parse_program
from spark_prox.programs.refinement import Span
from spark_prox.programs.write import remove_lines_program

__all__ = ["FILTER_CHUNK", "also_remove", "also_removed"]

FILTER_CHUNK = -1
"""`Edit.chunk` of a line that a filter removed, not a chunk program."""


def also_remove(text: str, edits: Sequence[Edit], program: str) -> tuple[str, tuple[Edit, ...]]:
    """The text without the program's lines too, and all edits.

    A line that a chunk program removed as well counts as removed by the filter. A replacement that touches a removed
    line is lost with it, an added line goes to the place of the removed ones. A chunk that was written anew stays so.

    Args:
        text: the original.
        edits: of the chunk programs, ascending.
        program: ProX's `remove_lines` calls; anything else in it does nothing.
    """
    index = LineIndex(text)
    asked = _asked(program, len(index), [edit for edit in edits if edit.kind == "rewrite"])
    if not asked:
        return applied(text, list(map(_span, edits))), tuple(edits)
    theirs = [
        Removal(lines.start, lines.stop - 1, edit.chunk, edit.call)
        for edit in edits
        if edit.kind == "remove_lines" and (lines := edited_lines(text, edit, len(index) - 1))
    ]
    removed = removal_spans(text, index, disjoint_removals([*asked, *theirs]))
    others = [_span(edit) for edit in edits if edit.kind != "remove_lines"]
    spans = merged_spans(removed, (span for span in others if span[3] != "add_line"))
    spans += _moved(text, removed, (span for span in others if span[3] == "add_line"))
    spans.sort(key=lambda span: span[:2])
    return applied(text, spans), tuple(_edit(text, index, span) for span in spans)


def also_removed(text: str, edits: Iterable[Edit]) -> str | None:
    """The program whose lines are on record in a document's edits; None where there are none."""
    lines = removed_lines(text, (edit for edit in edits if edit.chunk == FILTER_CHUNK))
    return remove_lines_program(lines) if lines else None


def _asked(program: str, line_count: int, rewrites: Sequence[Edit]) -> list[Removal]:
    """The program's removals, without lines that are not there or that were written anew."""
    removals = []
    for number, call in enumerate(parse_program(program).calls):
        if isinstance(call.op, RemoveLines):
            first, last = max(call.op.first, 0), min(call.op.last, line_count - 1)
            taken = [(edit.line, edit.line + edit.removed.count("\n")) for edit in rewrites]
            bounds = [(first - 1, first - 1), *sorted(span for span in taken if span[1] >= first), (last + 1, last + 1)]
            removals += [
                Removal(left[1] + 1, min(right[0] - 1, last), FILTER_CHUNK, number)
                for left, right in pairwise(bounds)
                if left[1] + 1 <= min(right[0] - 1, last)
            ]
    return removals


def _moved(text: str, removed: Sequence[Span], added: Iterable[Span]) -> list[Span]:
    """Added lines, each outside the runs of removed ones."""
    runs: list[list[int]] = []
    for start, stop, *_ in removed:
        if runs and runs[-1][1] == start:
            runs[-1][1] = stop
        else:
            runs.append([start, stop])
    moved = []
    for span in added:
        run = next((run for run in runs if run[0] < span[0] < run[1]), None)
        if run is None:
            moved.append(span)
        elif run[1] == len(text):
            moved.append((run[1], run[1], "\n" + span[2].removesuffix("\n"), *span[3:]))
        else:
            moved.append((run[0], run[0], *span[2:]))
    return moved


def _span(edit: Edit) -> Span:
    return (edit.start, edit.stop, edit.inserted, edit.kind, edit.line, edit.chunk, edit.call)


def _edit(text: str, index: LineIndex, span: Span) -> Edit:
    start, stop, inserted, kind, line, chunk, call = span
    return Edit(kind, line if line >= 0 else index.line_at(start), start, stop, text[start:stop], inserted, chunk, call)
