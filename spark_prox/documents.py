"""The unit of work: a document, its hash, its lines, and the two levels at which it is refined.

Knows nothing of where documents come from.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

__all__ = ["LEVELS", "Document", "Level", "Lines", "document_hash", "join_lines", "split_lines"]

Level = Literal["doc", "chunk"]
"""ProX's two levels: "doc" keeps or drops a document, "chunk" edits what was kept. Tables say stage."""

LEVELS: tuple[Level, ...] = ("doc", "chunk")
"""In the order in which a run goes through them."""

_LINES_AT_ONCE = 256
_NEWLINE = re.compile("\n")


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a corpus.

    Attributes:
        doc_id: unique in its `documents` table.
        text: the whole text; lines are separated by "\\n" alone.
        url: where it was crawled from, if known.
        doc_hash: `document_hash(text)`, where it is known already.
        part, parts: of a very long document, which of its chunks are wanted: those whose number gives `part` when it is
            divided by `parts`. The others are made elsewhere.
    """

    doc_id: str
    text: str
    url: str | None = None
    doc_hash: str | None = None
    part: int = 0
    parts: int = 1


def document_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes in lower-case hex, equal to Spark's `sha2(text, 256)`.

    Lone surrogates, which UTF-8 cannot hold, count as "?", which Spark stores in their place.
    """
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def split_lines(text: str) -> list[str]:
    """The lines a program counts, 0-based: separated by "\\n" and by nothing else, as upstream does."""
    return text.split("\n")


def join_lines(lines: list[str]) -> str:
    """The inverse of `split_lines`."""
    return "\n".join(lines)


class Lines(Sequence[str]):
    """The lines of `split_lines`, cut out of the text on access. A line takes four bytes instead of a string."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = array("I", [0])
        self._starts.extend(match.end() for match in _NEWLINE.finditer(text))
        self._starts.append(len(text) + 1)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, int):
            number = range(len(self))[place]
            return self._text[self._starts[number] : self._starts[number + 1] - 1]
        numbers = range(len(self))[place]
        if numbers.step != 1:
            return [self[number] for number in numbers]
        if not numbers:
            return []
        return self._text[self._starts[numbers.start] : self._starts[numbers.stop] - 1].split("\n")

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _LINES_AT_ONCE):
            yield from self[start : start + _LINES_AT_ONCE]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lines) and self._text == other._text

    __hash__ = None  # type: ignore[assignment]  # a sequence, as lists are
