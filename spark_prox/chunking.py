"""Cut a document into chunks of whole lines under a token budget.

Greedy packing of whole lines without overlap, as ProX does (arXiv 2409.17115, section 3.2 and appendix A). A line that
alone exceeds the budget is flagged and never sent to a model. Knows token counts, not tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Chunk", "split_chunks"]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Consecutive lines of one document.

    Attributes:
        chunk_index: 0-based position among the document's chunks.
        first_line: document line number of `lines[0]`, 0-based.
        lines: the lines' texts.
        too_long: the chunk is one line that exceeds the budget; no model sees it and it is kept as it is.
    """

    chunk_index: int
    first_line: int
    lines: tuple[str, ...]
    too_long: bool = False

    @property
    def last_line(self) -> int:
        """Document line number of the last line, inclusive."""
        return self.first_line + len(self.lines) - 1


def split_chunks(
    lines: Sequence[str], line_tokens: Sequence[int], *, max_tokens: int, max_lines: int = 0
) -> list[Chunk]:
    """Pack lines greedily into chunks.

    Args:
        lines: the document's lines.
        line_tokens: tokens that each line takes in the prompt, its number included; same length as `lines`.
        max_tokens: budget of one chunk in tokens.
        max_lines: most lines in one chunk; 0 means no limit.

    Returns:
        Chunks whose lines, concatenated, are `lines`.
    """
    if len(lines) != len(line_tokens):
        raise ValueError(f"{len(lines)} lines but {len(line_tokens)} token counts")
    chunks: list[Chunk] = []
    start, budget = 0, 0

    def close(stop: int, *, too_long: bool = False) -> None:
        if stop > start:
            chunks.append(
                Chunk(
                    chunk_index=len(chunks),
                    first_line=start,
                    lines=tuple(lines[start:stop]),
                    too_long=too_long,
                )
            )

    for number, tokens in enumerate(line_tokens):
        if tokens > max_tokens:
            close(number)
            start = number
            close(number + 1, too_long=True)
            start, budget = number + 1, 0
            continue
        if budget + tokens > max_tokens or (max_lines and number - start >= max_lines):
            close(number)
            start, budget = number, 0
        budget += tokens
    close(len(lines))
    return chunks
