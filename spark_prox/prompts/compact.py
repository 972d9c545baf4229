"""The embedded refiner's prompt: lines as a few tokens, verdicts read from one prefill.

A chunk prompt is: the page's sketch with the chunk's place in it, a few lines before, the chunk's lines, a
few lines after, and a read section `<L0> <L1> ...` with one token for each chunk line. At each of those the
model's next token is `<keep>` or `<remove>`; no verdict is part of the prompt, so all are read from one
prefill. A line is: a token for its length and ending, one for its capitals and content, its first tokens,
`<cut>` and its last tokens if it is long, and its number, one token, at its end. A document prompt has
lines from the head, the middle and the tail of the page, and ends in `<judge>`.

Pure: takes a `tokenizers.Tokenizer`, knows no engine and no training. What it does is part of the model: a
change of layout needs a new VERSION and a new training.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from spark_prox.documents import Lines
from spark_prox.errors import ModelError
from spark_prox.prompts.chunking import Chunk
from spark_prox.prompts.encoding import encode_all
from spark_prox.prompts.line_shape import (
    FORMS,
    LENGTHS,
    PROSE_LEVELS,
    QUALITIES,
    QUALITY_LEVELS,
    SEGMENTS,
    line_shapes,
    page_qualities,
    page_sketch,
)
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["MAX_CHUNK_LINES", "CompactPrompt", "special_tokens"]

MAX_CHUNK_LINES = 64
_HEAD_TOKENS, _TAIL_TOKENS = 12, 4
_CONTEXT_LINES, _CONTEXT_TOKENS = 6, 6
_DOCUMENT_TOKENS = 480
_LINES_AT_ONCE = 1024
_DOCUMENT_LINES = (24, 10, 8)  # at most: head, middle, tail
# Characters given to the tokenizer: enough for the tokens shown, however the text is cut into tokens.
_HEAD_CHARS, _TAIL_CHARS = 160, 64


def special_tokens() -> list[str]:
    """Every special token, in the order of their ids 0, 1, 2, ... in the tokenizer."""
    return [
        *("<pad>", "<s>", "</s>", "<keep>", "<remove>", "<drop>", "<chunk>", "<doc>", "<before>", "<lines>", "<after>"),
        *("<read>", "<judge>", "<here>", "<there>", "<cut>", "<end>", "<gap>", "<spare0>", "<spare1>"),
        *(f"<L{number}>" for number in range(MAX_CHUNK_LINES)),
        *(f"<length{number}>" for number in range(LENGTHS)),
        *(f"<form{number}>" for number in range(FORMS)),
        *(f"<prose{level}>" for level in range(PROSE_LEVELS)),
        *(f"<{name}{level}>" for name in QUALITIES for level in range(QUALITY_LEVELS)),
    ]


class _Page:
    """What every prompt of one document shares: the lines' tokens, their shapes, the sketch.

    Args:
        lines: of the document.
        tokens: of each line, what is shown of it.
    """

    def __init__(self, lines: Sequence[str], tokens: Iterable[Sequence[int]]) -> None:
        self.lines = lines
        self._tokens = array("I")
        self._starts = array("I", [0])
        for ids in tokens:
            self._tokens.extend(ids)
            self._starts.append(len(self._tokens))
        self.shapes = line_shapes(lines)
        self.sketch = page_sketch(self.shapes)
        self.qualities = page_qualities(lines, self.shapes)

    def tokens(self, number: int) -> array[int]:
        """Of one line."""
        return self._tokens[self._starts[number] : self._starts[number + 1]]

    def token_count(self, number: int) -> int:
        """How many of one line are shown."""
        return self._starts[number + 1] - self._starts[number]


class CompactPrompt:
    """Encode lines of a document into prompts of the embedded refiner.

    Attributes:
        max_chunk_lines: most lines in one chunk.
        max_chunk_tokens: budget for the sum of `line_tokens` of one chunk; a prompt adds at most about 220 to it.
        chunk_read_tokens: ids of "keep this line" and "remove this line".
        document_read_tokens: ids of "keep this document" and "drop this document".
    """

    NAME = "embedded"
    VERSION = 1

    def __init__(self, tokenizer: AnyTokenizer) -> None:
        """Raises ModelError if the tokenizer lacks a special token of this prompt."""
        self._tokenizer = TextTokenizer.of(tokenizer)  # "<keep>" in a page's text is text
        ids: dict[str, int] = {}
        missing = []
        for token in special_tokens():
            number = tokenizer.token_to_id(token)
            if number is None:
                missing.append(token)
            else:
                ids[token] = number
        if missing:
            raise ModelError(
                "TOKENIZER_MISMATCH",
                f"the tokenizer lacks {len(missing)} special tokens of the compact prompt, first {missing[0]!r}.",
                "Use the tokenizer.json that lies beside the embedded refiner's weights.",
            )
        self._ids = ids
        self._numbers = [ids[f"<L{number}>"] for number in range(MAX_CHUNK_LINES)]
        self._page: _Page | None = None
        self.max_chunk_lines = MAX_CHUNK_LINES
        self.max_chunk_tokens = 1_000
        self.chunk_read_tokens = (ids["<keep>"], ids["<remove>"])
        self.document_read_tokens = (ids["<keep>"], ids["<drop>"])

    def _encode(self, texts: Iterable[str]) -> list[list[int]]:
        # Lone surrogates have no UTF-8 form and would raise.
        return list(encode_all(self._tokenizer, (text.encode("utf-8", "replace").decode() for text in texts)))

    def _cut(self, lines: Sequence[str], head_tokens: int, tail_tokens: int) -> list[list[int]]:
        """Each line's first and last tokens, with `<cut>` between them where something is left out."""
        room = _HEAD_CHARS + _TAIL_CHARS
        heads = self._encode(line if len(line) <= room else line[:_HEAD_CHARS] for line in lines)
        long = [index for index, line in enumerate(lines) if len(line) > room]
        tails = dict(zip(long, self._encode(lines[index][-_TAIL_CHARS:] for index in long), strict=True))
        cut = []
        for index, head in enumerate(heads):
            tail = tails.get(index)
            if tail is None and len(head) <= head_tokens + tail_tokens + 1:
                cut.append(head)
            else:
                cut.append([*head[:head_tokens], self._ids["<cut>"], *(tail or head)[-tail_tokens:]])
        return cut

    def _page_of(self, lines: Sequence[str]) -> _Page:
        """The last document's tokens are kept: every chunk of a document needs them."""
        key = lines if isinstance(lines, Lines) else tuple(lines)
        if self._page is None or self._page.lines != key:
            self._page = None  # not two of them in memory
            parts = (key[start : start + _LINES_AT_ONCE] for start in range(0, len(key), _LINES_AT_ONCE))
            tokens = (ids for part in parts for ids in self._cut(part, _HEAD_TOKENS, _TAIL_TOKENS))
            self._page = _Page(key, tokens)
        return self._page

    def _shape_ids(self, page: _Page, number: int) -> tuple[int, int]:
        return self._ids["<length0>"] + page.shapes.length[number], self._ids["<form0>"] + page.shapes.form[number]

    def line_tokens(self, lines: Sequence[str]) -> array[int]:
        """Prompt tokens that each line of a document costs: shape, text, number and its place in the read section."""
        page = self._page_of(lines)
        return array("B", (page.token_count(number) + 4 for number in range(len(lines))))

    def _sketch_ids(self, page: _Page, first_line: int, last_line: int) -> list[int]:
        """The page's sketch with `<here>` and `<there>` around the segments that the chunk touches."""
        count = max(1, len(page.lines))
        first, last = first_line * SEGMENTS // count, last_line * SEGMENTS // count
        ids = [self._ids[f"<{QUALITIES[1]}{page.qualities[1]}>"], self._ids[f"<{QUALITIES[2]}{page.qualities[2]}>"]]
        for segment, level in enumerate(page.sketch):
            if segment == first:
                ids.append(self._ids["<here>"])
            ids.append(self._ids["<prose0>"] + level)
            if segment == last:
                ids.append(self._ids["<there>"])
        return ids

    def _context_ids(self, page: _Page, start: int, stop: int) -> list[int]:
        ids: list[int] = []
        for number in range(max(0, start), min(len(page.lines), stop)):
            ids += (*self._shape_ids(page, number), *page.tokens(number)[:_CONTEXT_TOKENS], self._ids["<end>"])
        return ids

    def chunk_prompt(self, lines: Sequence[str], chunk: Chunk) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids and read positions, one position for each line of the chunk.

        Args:
            lines: all lines of the document.
            chunk: the lines to judge, at most `max_chunk_lines`.
        """
        count, first = len(chunk.lines), chunk.first_line
        if not 0 < count <= MAX_CHUNK_LINES:
            raise ValueError(f"a chunk of {count} lines; the compact prompt takes 1 to {MAX_CHUNK_LINES}")
        page = self._page_of(lines)
        ids = [self._ids["<s>"], self._ids["<chunk>"], *self._sketch_ids(page, first, chunk.last_line)]
        ids += (self._ids["<before>"], *self._context_ids(page, first - _CONTEXT_LINES, first), self._ids["<lines>"])
        for offset in range(count):
            ids += (*self._shape_ids(page, first + offset), *page.tokens(first + offset), self._numbers[offset])
        ids += (self._ids["<after>"], *self._context_ids(page, first + count, first + count + _CONTEXT_LINES))
        ids.append(self._ids["<read>"])
        read_at = tuple(range(len(ids), len(ids) + count))
        ids += self._numbers[:count]
        return tuple(ids), read_at

    def document_prompt(self, lines: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids of a prompt about the whole document, and the one position to read its verdict at."""
        page = self._page_of(lines)
        filled = array("I", (number for number, line in enumerate(lines) if line and not line.isspace()))
        head, middle, tail = _DOCUMENT_LINES
        shown = sorted(set(filled[:head]) | set(filled[len(filled) // 2 :][:middle]) | set(filled[-tail:]))
        wide = 3 if sum(page.token_count(number) for number in shown) < _DOCUMENT_TOKENS // 3 else 1
        texts = dict(
            zip(shown, self._cut([lines[n] for n in shown], _HEAD_TOKENS * wide, _TAIL_TOKENS * wide), strict=True)
        )
        ids = [self._ids["<s>"], self._ids["<doc>"], *self._sketch_ids(page, 0, len(lines) - 1)]
        last = -1
        for number in shown:
            if number != last + 1:
                ids.append(self._ids["<gap>"])
            ids += (*self._shape_ids(page, number), *texts[number], self._ids["<end>"])
            last = number
        ids += (self._ids[f"<{name}{level}>"] for name, level in zip(QUALITIES, page.qualities, strict=True))
        ids.append(self._ids["<judge>"])
        return tuple(ids), (len(ids) - 1,)
