"""Edit records: what was cut out and put in, so that original + edits = refined and refined + edits = original.

Offsets are Unicode code points of the original text, as Spark's `substring` counts them. Knows nothing of programs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from spark_prox.errors import ProxError
from spark_prox.rows import Int32, Int64, Word

__all__ = ["Edit", "apply_edits", "edited_lines", "removed_lines", "restore_text"]


class Edit(NamedTuple):
    """One contiguous change. The edits of a document are in ascending order and do not overlap.

    Attributes:
        kind: "remove_lines", "replace", "add_line" or "rewrite".
        line: document line of the original that it begins in, 0-based.
        start: first character of the original that it replaces.
        stop: one past the last; equal to `start` for a pure insertion.
        removed: `original[start:stop]`.
        inserted: what stands there instead.
        chunk: index of the chunk program.
        call: index of the call in it; the last one where several calls touched the same place.
    """

    kind: Word
    line: Int32
    start: Int64
    stop: Int64
    removed: Word
    inserted: Word
    chunk: Int32
    call: Int32


def apply_edits(original: str, edits: Iterable[Edit]) -> str:
    """The refined text.

    Raises:
        ProxError: EDITS_MISMATCH when the edits were not made from this text.
    """
    pieces: list[str] = []
    position = 0
    for edit in edits:
        if edit.start < position or not original.startswith(edit.removed, edit.start):
            raise _mismatch(edit)
        pieces += (original[position : edit.start], edit.inserted)
        position = edit.stop
    pieces.append(original[position:])
    return "".join(pieces)


def removed_lines(original: str, edits: Iterable[Edit]) -> set[int]:
    """The numbers of the lines that edits removed as a whole.

    Every removed line takes one newline with it, the one behind it or, at the end of the text, the one before it; the
    last line of a text of which nothing stays has none.
    """
    found: set[int] = set()
    last = original.count("\n")
    for edit in edits:
        if edit.kind == "remove_lines":
            found.update(edited_lines(original, edit, last))
    return found


def edited_lines(original: str, edit: Edit, last: int | None = None) -> range:
    """The lines that one edit of the kind remove_lines removed.

    Args:
        last: the number of the original's last line, where it is known.
    """
    count = edit.removed.count("\n")
    last = original.count("\n") if last is None else last
    to_the_end = edit.stop == len(original) and edit.line + count == last and not edit.removed.endswith("\n")
    return range(edit.line, edit.line + count + to_the_end)


def restore_text(refined: str, edits: Iterable[Edit]) -> str:
    """The original text, from the refined one.

    Raises:
        ProxError: EDITS_MISMATCH when the edits did not make this text.
    """
    pieces: list[str] = []
    position, drift = 0, 0
    for edit in edits:
        start = edit.start + drift
        if start < position or not refined.startswith(edit.inserted, start):
            raise _mismatch(edit)
        pieces += (refined[position:start], edit.removed)
        position = start + len(edit.inserted)
        drift += len(edit.inserted) - len(edit.removed)
    pieces.append(refined[position:])
    return "".join(pieces)


def _mismatch(edit: Edit) -> ProxError:
    return ProxError(
        "EDITS_MISMATCH",
        f"The edit at character {edit.start} (call {edit.call} of chunk {edit.chunk}) does not fit this text.",
        "Check that text and edits come from the same row.",
    )
