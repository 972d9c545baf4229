"""The encoder's prompt: a page's lines as pieces of their words, each line closed by a token for its shape.

A line is its first and last pieces and one shape token, which says how long the line is, how it ends, how it is
capitalised and what kind of content it has. Eight quality tokens close the page. A verdict on a line is read at its
shape token, the verdict on the page at the last quality token, all from one forward pass.

Pure: takes a `tokenizers.Tokenizer`, knows no engine and no training. The layout is part of the model: a change needs a
new VERSION and a new training.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from spark_prox.prompts.chunking import Chunk
from spark_prox.prompts.encoding import encode_all
from spark_prox.prompts.line_shape import (
    FORMS,
    LENGTHS,
    QUALITIES,
    QUALITY_LEVELS,
    LineShapes,
    line_shapes,
    page_qualities,
)
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["QUALITY_TOKENS", "SHAPE_TOKENS", "PagePrompt", "line_pieces"]

SHAPE_TOKENS = LENGTHS * FORMS
"""Token ids of line shapes: `vocabulary + length * FORMS + form`."""
QUALITY_TOKENS = len(QUALITIES) * QUALITY_LEVELS
"""Token ids of page qualities: `vocabulary + SHAPE_TOKENS + quality * QUALITY_LEVELS + level`."""
_CHARS_PER_PIECE = 16  # characters given to the tokenizer for one piece that is shown: enough for nearly every text
_LINES_AT_ONCE = 1024


class PagePrompt:
    """Encode lines of a document into prompts of the line encoder.

    Attributes:
        max_chunk_lines: most lines of one prompt.
        max_chunk_tokens: most tokens of one prompt's lines.
    """

    NAME = "page"
    VERSION = 1

    def __init__(self, tokenizer: AnyTokenizer, *, head_pieces: int, tail_pieces: int) -> None:
        """
        Args:
            head_pieces, tail_pieces: pieces shown of a long line, as the model was trained.
        """
        self._tokenizer = TextTokenizer.of(tokenizer)
        self._head, self._tail = head_pieces, tail_pieces
        self._shape_ids = tokenizer.get_vocab_size()
        self._quality_ids = self._shape_ids + SHAPE_TOKENS
        self._page: _Page | None = None
        self.max_chunk_lines = 2_000
        self.max_chunk_tokens = 30_000

    def line_tokens(self, lines: Sequence[str]) -> Iterator[int]:
        """Prompt tokens that each line of a document costs: its pieces and its shape."""
        page = self._page_of(lines)
        for number in range(len(lines)):
            yield page.starts[number + 1] - page.starts[number] + 1

    def chunk_prompt(self, lines: Sequence[str], chunk: Chunk) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids and read positions, one for each line of the chunk.

        Args:
            lines: all lines of the document.
        """
        page = self._page_of(lines)
        ids: list[int] = []
        read_at: list[int] = []
        for number in range(chunk.first_line, chunk.last_line + 1):
            ids += page.pieces[page.starts[number] : page.starts[number + 1]]
            read_at.append(len(ids))
            ids.append(self._shape_ids + page.shapes.length[number] * FORMS + page.shapes.form[number])
        ids += page.qualities
        return tuple(ids), tuple(read_at)

    def document_prompt(self, lines: Sequence[str], chunk: Chunk) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The same token ids, and the one position to read the verdict on the page at.

        Args:
            chunk: the document's first chunk, which stands for all of it.
        """
        ids, _ = self.chunk_prompt(lines, chunk)
        return ids, (len(ids) - 1,)

    def _page_of(self, lines: Sequence[str]) -> _Page:
        """The last document's tokens are kept: every chunk of a document needs them."""
        if self._page is None or self._page.lines != lines:
            self._page = None  # not two of them in memory
            self._page = _Page(lines, self._pieces_of(lines), self._quality_ids)
        return self._page

    def _pieces_of(self, lines: Sequence[str]) -> Iterator[Sequence[int]]:
        for start in range(0, len(lines), _LINES_AT_ONCE):
            part = lines[start : start + _LINES_AT_ONCE]
            yield from line_pieces(self._tokenizer, part, head_pieces=self._head, tail_pieces=self._tail)


class _Page:
    """What every prompt of one document shares."""

    def __init__(self, lines: Sequence[str], pieces: Iterator[Sequence[int]], first_quality: int) -> None:
        self.lines = lines
        self.pieces = array("I")
        self.starts = array("I", [0])
        for ids in pieces:
            self.pieces.extend(ids)
            self.starts.append(len(self.pieces))
        self.shapes: LineShapes = line_shapes(lines)
        levels = page_qualities(lines, self.shapes)
        self.qualities = [first_quality + number * QUALITY_LEVELS + level for number, level in enumerate(levels)]


def line_pieces(
    tokenizer: AnyTokenizer, lines: Sequence[str], *, head_pieces: int, tail_pieces: int
) -> list[Sequence[int]]:
    """The pieces shown of each line: all of a short one, the first and the last ones of a long one."""
    head_chars, tail_chars = head_pieces * _CHARS_PER_PIECE, tail_pieces * _CHARS_PER_PIECE
    room = head_chars + tail_chars
    # Lone surrogates have no UTF-8 form and would raise.
    texts = [line.strip().encode("utf-8", "replace").decode() for line in lines]
    heads = encode_all(tokenizer, (text if len(text) <= room else text[:head_chars] for text in texts))
    long = [index for index, text in enumerate(texts) if len(text) > room]
    tails = dict(zip(long, encode_all(tokenizer, (texts[index][-tail_chars:] for index in long)), strict=True))
    shown: list[Sequence[int]] = []
    for index, head in enumerate(heads):
        tail = tails.get(index)
        if tail is None and len(head) <= head_pieces + tail_pieces:
            shown.append(head)
        else:
            shown.append([*head[:head_pieces], *(tail or head)[-tail_pieces:]])
    return shown
