"""Cut a document into chunks of whole lines under a token budget.

Greedy packing of whole lines without overlap, as ProX does (arXiv 2409.17115, section 3.2 and appendix A). A line that
alone exceeds the budget is flagged and never sent to a model. Knows token counts, not tokenizers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import overload

__all__ = ["Chunk", "Chunks", "split_chunks"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive lines of one document.

    Attributes:
        chunk_index: 0-based position among the document's chunks.
        first_line: document line number of `lines[0]`, 0-based.
        lines: the lines' texts.
        too_long: the chunk is one line that exceeds the budget; no model sees it and it is kept as it is.
        left_over: the lines behind the last chunk that may be made; no model sees them and they are kept.
    """

    chunk_index: int
    first_line: int
    lines: tuple[str, ...]
    too_long: bool = False
    left_over: bool = False

    @property
    def last_line(self) -> int:
        """Document line number of the last line, inclusive."""
        return self.first_line + len(self.lines) - 1


class Chunks(Sequence[Chunk]):
    """The chunks of one document, each made of the document's lines when it is asked for: only borders are stored."""

    def __init__(
        self, lines: Sequence[str], starts: Sequence[int], too_long: Set[int], *, left_over: bool = False
    ) -> None:
        """
        Args:
            starts: the first line of each chunk; a chunk ends where the next one begins.
            too_long: chunk indexes.
            left_over: whether the last chunk is what is left over.
        """
        self._left_over = len(starts) - 1 if left_over else -1
        self._lines = lines
        self._starts = starts
        self._too_long = too_long

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> Chunk: ...
    @overload
    def __getitem__(self, place: slice) -> list[Chunk]: ...
    def __getitem__(self, place: int | slice) -> Chunk | list[Chunk]:
        if isinstance(place, slice):
            return [self[index] for index in range(len(self))[place]]
        index = range(len(self))[place]
        start = self._starts[index]
        stop = self._starts[index + 1] if index + 1 < len(self) else len(self._lines)
        lines = tuple(self._lines[start:stop])
        return Chunk(
            chunk_index=index,
            first_line=start,
            lines=lines,
            too_long=index in self._too_long,
            left_over=index == self._left_over,
        )


def split_chunks(
    lines: Sequence[str], line_tokens: Iterable[int], *, max_tokens: int, max_lines: int = 0, max_chunks: int = 0
) -> Chunks:
    """Pack lines greedily into chunks.

    Args:
        lines: the document's lines.
        line_tokens: tokens that each line takes in the prompt, its number included; as many as `lines`.
        max_tokens: budget of one chunk in tokens.
        max_lines: most lines in one chunk; 0 means no limit.
        max_chunks: most chunks; all lines behind them are one chunk more, whose tokens are not even counted. 0 means no
            limit.

    Returns:
        Chunks whose lines, concatenated, are `lines`.
    """
    starts = array("I")
    alone: set[int] = set()
    fresh = True  # the next line begins a chunk
    start = budget = count = 0
    for number, tokens in enumerate(line_tokens):
        count += 1
        too_long = tokens > max_tokens
        if fresh or too_long or budget + tokens > max_tokens or (max_lines and number - start >= max_lines):
            if max_chunks and len(starts) == max_chunks:
                starts.append(number)
                return Chunks(lines, starts, alone, left_over=True)
            if too_long:
                alone.add(len(starts))
            starts.append(number)
            start, budget = number, 0
        budget += tokens
        fresh = too_long
    if len(lines) != count:
        raise ValueError(f"{len(lines)} lines but {count} token counts")
    return Chunks(lines, starts, alone)
