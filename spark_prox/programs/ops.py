"""The operations of a program: one frozen class for each, whatever its spelling.

Line numbers are 0-based document lines here; a dialect that counts from 1 converts. A string that was written with a
backslash has two readings, the unescaped one in `source`, `target`, `content` and the literal one in `verbatim`: models
trained on raw text print LaTeX and Windows paths as they stand, others print Python strings. This module knows neither
documents nor spellings.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AddLine", "DropAll", "KeepAll", "Op", "RemoveAll", "RemoveLines", "ReplaceInLine", "ReplaceText", "Rewrite"]


@dataclass(frozen=True)
class KeepAll:
    """No edit; at document level, keep the document."""


@dataclass(frozen=True)
class DropAll:
    """A verdict on the whole: drop the document, or, in a dialect that allows it there, the chunk."""


@dataclass(frozen=True)
class RemoveAll:
    """Remove every line of the chunk (`remove_lines(all=True)`)."""


@dataclass(frozen=True)
class RemoveLines:
    """Remove document lines `first` to `last`, both inclusive. May name lines that do not exist."""

    first: int
    last: int


@dataclass(frozen=True)
class ReplaceText:
    """Replace every occurrence of `source` inside the chunk (`normalize`)."""

    source: str
    target: str = ""
    verbatim: tuple[str, str] | None = None


@dataclass(frozen=True)
class ReplaceInLine:
    """Replace `source` in document line `line`.

    `unique`: it must occur exactly once there; else the first place that no earlier call took is meant.
    """

    line: int
    source: str
    target: str = ""
    verbatim: tuple[str, str] | None = None
    unique: bool = True


@dataclass(frozen=True)
class AddLine:
    """Insert `content` as a line of its own after document line `after` (-1: before the first).

    Lines added at one place are ordered by `order`.
    """

    after: int
    order: int
    content: str
    verbatim: str | None = None


@dataclass(frozen=True)
class Rewrite:
    """Put `content`, which a model wrote, in the place of the whole chunk."""

    content: str


Op = KeepAll | DropAll | RemoveAll | RemoveLines | ReplaceText | ReplaceInLine | AddLine | Rewrite
