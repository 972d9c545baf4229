"""Turn documents into prompts of token ids.

A `PromptBuilder` knows one stage's template and one tokenizer. It cuts documents, never the template; it flags a line
that no chunk can hold; and it encodes document text so that nothing in it becomes a special token. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from spark_prox.documents import Lines
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer, model_count, model_token_ids
from spark_prox.prompts.chunking import Chunk, Chunks, split_chunks
from spark_prox.prompts.encoding import encode_all
from spark_prox.prompts.page_prompt import PagePrompt
from spark_prox.prompts.templates import PromptTemplate
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["ChunkPrompts", "Prompt", "PromptBuilder", "PromptSpec", "TextPromptBuilder", "builder_for"]

_CHARS_PER_TOKEN = 24  # no tokenizer of a language model packs natural text more tightly than this on average
_LINE_CHARS_PER_TOKEN = 64  # a line longer than this many characters per token of budget is not worth encoding


@dataclass(frozen=True, kw_only=True)
class PromptSpec:
    """What a builder needs, besides the tokenizer's files: travels to the executors.

    Attributes:
        model_path: where the tokenizer is.
        max_prompt_tokens: window that prompt and answer share.
        max_chunk_tokens: budget of one chunk's numbered lines.
        max_new_tokens: most tokens decoded.
        decide: "read" or "generate", for the document stage.
        max_chunks: most chunks of a document; 0 for no limit.
    """

    template: PromptTemplate
    model_path: str
    max_prompt_tokens: int
    max_chunk_tokens: int
    max_new_tokens: int
    decide: str = "read"
    max_chunks: int = 0


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready for an engine. Fields as in `engines.base.Request`."""

    token_ids: tuple[int, ...]
    max_new_tokens: int = 0
    read_at: tuple[int, ...] = ()
    read_tokens: tuple[int, int] = (0, 0)


class ChunkPrompts:
    """The chunks of one document, in order, and a prompt for each.

    Where chunks begin is known from the start; lines and token ids are of one chunk at a time, so that a document's
    size in memory is about that of its text.

    Attributes:
        chunks: each made when it is asked for.
    """

    def __init__(self, chunks: Sequence[Chunk], prompt: Callable[[Chunk], Prompt | None]) -> None:
        """
        Args:
            prompt: of a chunk that fits the budget; None where it turns out not to fit the window.
        """
        self.chunks = chunks
        self._prompt = prompt

    def __len__(self) -> int:
        return len(self.chunks)

    def __iter__(self) -> Iterator[tuple[Chunk, Prompt | None]]:
        for chunk in self.chunks:
            yield chunk, self.prompt(chunk)

    def prompt(self, chunk: Chunk) -> Prompt | None:
        """The prompt of one of the chunks, built anew each time.

        None for a line that exceeds the budget alone, and for what is left over behind the last chunk that may be made.
        """
        return None if chunk.too_long or chunk.left_over else self._prompt(chunk)


class PromptBuilder(Protocol):
    """Documents in, prompts out."""

    def document_prompt(self, text: str) -> Prompt:
        """The prompt of the document stage; a long document is cut at its end."""
        ...

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """The document's chunks, and their prompts."""
        ...


def builder_for(spec: PromptSpec) -> PromptBuilder:
    """The builder of a template's kind, with the model's own tokenizer."""
    tokenizer = load_tokenizer(spec.model_path)
    if spec.template.kind == "compact":
        return _CompactPromptBuilder(tokenizer, spec.max_chunks)
    if spec.template.kind == "page":
        return _PagePromptBuilder(spec.model_path, tokenizer, spec.max_chunks)
    bos = model_token_ids(spec.model_path, "bos_token_id")
    return TextPromptBuilder(spec, tokenizer, bos_token_id=bos[0] if bos else None)


class TextPromptBuilder:
    """Prompts of templates made of text, for the released ProX refiners and models fine-tuned like them."""

    def __init__(self, spec: PromptSpec, tokenizer: AnyTokenizer, *, bos_token_id: int | None) -> None:
        self._spec = spec
        self._tokenizer = TextTokenizer.of(tokenizer)
        self._bos = () if bos_token_id is None else (int(bos_token_id),)
        self._overhead = len(self._encode(spec.template.prefix + spec.template.suffix)) + 2
        self._answer_prefix: tuple[int, ...] = ()
        self._answer_tokens = (0, 0)
        if spec.template.stage == "doc" and spec.decide == "read":
            self._answer_prefix, self._answer_tokens = self._answers()
        room = spec.max_prompt_tokens - spec.max_new_tokens - self._overhead
        if room < 1:
            raise ModelError(
                "PROMPT_BUDGET",
                f"max_prompt_tokens={spec.max_prompt_tokens} leaves no room for a document beside the template "
                f"({self._overhead} tokens) and the answer ({spec.max_new_tokens}).",
                "Raise max_prompt_tokens or lower max_new_tokens.",
            )
        self._room = room

    def document_prompt(self, text: str) -> Prompt:
        """See `PromptBuilder`. Cuts the document, so that the template's closing part is never lost."""
        template = self._spec.template
        budget = self._room
        text = text[: budget * _CHARS_PER_TOKEN]
        ids = self._prompt_ids(template.prefix + text + template.suffix)
        while len(ids) > self._spec.max_prompt_tokens - self._spec.max_new_tokens:
            text = self._cut(text, budget)
            budget = max(1, budget - 16)  # cutting may change how the last word is encoded: leave a little more room
            ids = self._prompt_ids(template.prefix + text + template.suffix)
        if self._spec.decide == "read":
            ids = ids + self._answer_prefix
            return Prompt(token_ids=ids, read_at=(len(ids) - 1,), read_tokens=self._answer_tokens)
        return Prompt(token_ids=ids, max_new_tokens=self._spec.max_new_tokens)

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """See `PromptBuilder`. Lines keep their number in the document, as the released refiners were trained."""
        budget = min(self._spec.max_chunk_tokens, self._room)
        lines = Lines(text)
        return ChunkPrompts(
            split_chunks(lines, self._line_tokens(lines, budget), max_tokens=budget, max_chunks=self._spec.max_chunks),
            self._chunk_prompt,
        )

    def _chunk_prompt(self, chunk: Chunk) -> Prompt | None:
        spec, template = self._spec, self._spec.template
        shown = "\n".join(
            template.line_format.format(chunk.first_line + offset) + line for offset, line in enumerate(chunk.lines)
        )
        ids = self._prompt_ids(template.prefix + shown + template.suffix)
        fits = len(ids) + spec.max_new_tokens <= spec.max_prompt_tokens
        return Prompt(token_ids=ids, max_new_tokens=spec.max_new_tokens) if fits else None

    def _line_tokens(self, lines: Lines, budget: int) -> Iterator[int]:
        """Tokens of each line with its number and newline. A line far over the budget is not encoded at all."""
        longest = budget * _LINE_CHARS_PER_TOKEN
        number_format = self._spec.template.line_format.format
        shown = (
            number_format(number) + line + "\n" if len(line) <= longest else "" for number, line in enumerate(lines)
        )
        encoded = encode_all(self._tokenizer, shown)
        for line, ids in zip(lines, encoded, strict=True):
            yield len(ids) if len(line) <= longest else budget + 1

    def _cut(self, text: str, budget: int) -> str:
        """The longest beginning of the text that encodes to `budget` tokens."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if len(encoding.ids) <= budget:
            return text[: int(len(text) * 0.98)]
        end = int(encoding.offsets[budget - 1][1])
        return text[:end] if end < len(text) else text[: int(len(text) * 0.98)]

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _prompt_ids(self, text: str) -> tuple[int, ...]:
        return self._bos + self._encode(text)

    def _answers(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Where the two answers of the document stage part: the tokens they share, then one token of each.

        Encoded behind the template's end, so that a tokenizer that joins a space to a word does here what it did in
        training.
        """
        tail = self._spec.template.suffix or "\n"
        separator = " " if self._spec.template.suffix else ""
        before = self._encode("x" + tail)
        keep, drop = (self._encode("x" + tail + separator + answer) for answer in self._spec.template.answers)
        start = 0
        while start < len(before) and before[start] == keep[start] == drop[start]:
            start += 1
        stop = start
        while stop < min(len(keep), len(drop)) and keep[stop] == drop[stop]:
            stop += 1
        if stop == min(len(keep), len(drop)):
            raise ModelError("TEMPLATE_ANSWERS", "The tokenizer gives both answers of the document stage alike.")
        return keep[start:stop], (keep[stop], drop[stop])


class _CompactPromptBuilder:
    """The embedded refiner's own layout, see `spark_prox.prompts.compact`: decisions are read, never generated."""

    def __init__(self, tokenizer: AnyTokenizer, max_chunks: int = 0) -> None:
        from spark_prox.prompts.compact import CompactPrompt

        self._compact = CompactPrompt(tokenizer)
        self._max_chunks = max_chunks

    def document_prompt(self, text: str) -> Prompt:
        """See `PromptBuilder`."""
        ids, read_at = self._compact.document_prompt(Lines(text))
        return Prompt(token_ids=ids, read_at=read_at, read_tokens=self._compact.document_read_tokens)

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """See `PromptBuilder`. Line numbers are local to the chunk in the prompt, global in the program."""
        compact = self._compact
        lines = Lines(text)

        def prompt(chunk: Chunk) -> Prompt:
            ids, read_at = compact.chunk_prompt(lines, chunk)
            return Prompt(token_ids=ids, read_at=read_at, read_tokens=compact.chunk_read_tokens)

        chunks = split_chunks(
            lines,
            compact.line_tokens(lines),
            max_tokens=compact.max_chunk_tokens,
            max_lines=compact.max_chunk_lines,
            max_chunks=self._max_chunks,
        )
        return ChunkPrompts(chunks, prompt)


class _PagePromptBuilder:
    """The line encoder's layout, see `spark_prox.prompts.page_prompt`: one prompt has thousands of lines."""

    def __init__(self, model_path: str, tokenizer: AnyTokenizer, max_chunks: int = 0) -> None:
        self._max_chunks = max_chunks
        pieces = {name: model_count(model_path, name) for name in ("head_pieces", "tail_pieces")}
        self._page = PagePrompt(tokenizer, **pieces)

    def document_prompt(self, text: str) -> Prompt:
        """See `PromptBuilder`. The verdict is read from the first chunk, which is nearly always the whole document."""
        lines = Lines(text)
        ids, read_at = self._page.document_prompt(lines, self._chunks(lines)[0])
        return Prompt(token_ids=ids, read_at=read_at)

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """See `PromptBuilder`."""
        lines = Lines(text)

        def prompt(chunk: Chunk) -> Prompt:
            ids, read_at = self._page.chunk_prompt(lines, chunk)
            return Prompt(token_ids=ids, read_at=read_at)

        return ChunkPrompts(self._chunks(lines), prompt)

    def _chunks(self, lines: Lines) -> Chunks:
        page = self._page
        return split_chunks(
            lines,
            page.line_tokens(lines),
            max_tokens=page.max_chunk_tokens,
            max_lines=page.max_chunk_lines,
            max_chunks=self._max_chunks,
        )
