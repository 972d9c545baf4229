"""Turn documents into prompts of token ids.

A `PromptBuilder` knows one level's template and one tokenizer. It cuts documents, never the template; it flags a line
that no chunk can hold; and it encodes document text so that nothing in it becomes a special token. This module has the
types and the registry of the kinds of prompts. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from spark_prox.prompts.chunking import Chunk
from spark_prox.prompts.templates import PromptTemplate

__all__ = [
    "KINDS",
    "BuilderKind",
    "ChunkPrompts",
    "Prompt",
    "PromptBuilder",
    "PromptSpec",
    "WholePageBuilder",
    "builder_for",
    "kind_of",
]


@dataclass(frozen=True, kw_only=True)
class PromptSpec:
    """The settings of a builder. They travel to the executors; the tokenizer's files do not.

    Attributes:
        model_path: where the tokenizer is.
        max_prompt_tokens: window that prompt and answer share.
        max_chunk_tokens: budget of one chunk's numbered lines.
        max_new_tokens: most tokens decoded.
        decide: "read" or "generate", for the document level.
        max_chunks: most chunks of a document; 0 for no limit.
        dialect: the spelling of the programs, where the template does not say.
    """

    template: PromptTemplate
    model_path: str
    max_prompt_tokens: int
    max_chunk_tokens: int
    max_new_tokens: int
    decide: str = "read"
    max_chunks: int = 0
    dialect: str = "prox"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready for an engine. Fields as in `engines.base.Request`, but for one.

    Attributes:
        first_number: what has to be added to the line numbers that the prompt shows to make them the document's.
    """

    token_ids: tuple[int, ...]
    first_number: int = 0
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
        """The prompt of the document level; a long document is cut at its end."""
        ...

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """The document's chunks, and their prompts."""
        ...


class WholePageBuilder(PromptBuilder, Protocol):
    """A builder whose document prompt is the prompt of the document's first chunk: one pass answers both levels."""

    def page_prompt(self, text: str) -> tuple[Prompt, Chunk | None]:
        """The prompt of the document level.

        Returns:
            With the only chunk of the document, a prompt that reads each of its lines and last the page; None for the
            chunk where the document has several, or one that no prompt can hold: the prompt then reads the page alone.
        """
        ...


class BuilderKind(Protocol):
    """The functions that the module of a kind of prompt offers, see `KINDS`.

    Attributes:
        one_pass: its builders are `WholePageBuilder`s.
        reads_lines: a program of the chunk level is made of the margins of lines.
    """

    one_pass: bool
    reads_lines: bool

    def of(self, spec: PromptSpec) -> PromptBuilder:
        """The builder of a spec, with the model's own tokenizer.

        Raises:
            ModelError: the model has no tokenizer, or template, tokenizer and budgets do not fit together.
        """
        ...

    def parameters(self, spec: PromptSpec) -> dict[str, object]:
        """The settings, beside template and model, that decide a program: a part of the key of stored programs."""
        ...


KINDS: dict[str, tuple[str, str]] = {
    "text": ("spark_prox.prompts.text_builder", "TextPromptBuilder"),
    "chat": ("spark_prox.prompts.chat_builder", "ChatPromptBuilder"),
    "compact": ("spark_prox.prompts.compact_builder", "CompactPromptBuilder"),
    "page": ("spark_prox.prompts.page_builder", "PagePromptBuilder"),
}
"""Module and class by `PromptTemplate.kind`. A new kind of prompt is one module, one line here, and its templates."""


def kind_of(spec: PromptSpec) -> BuilderKind:
    """The kind of a spec's template."""
    module, name = KINDS[spec.template.kind]
    kind: BuilderKind = getattr(import_module(module), name)
    return kind


def builder_for(spec: PromptSpec) -> PromptBuilder:
    """The builder of a template's kind, with the model's own tokenizer. Errors as in `BuilderKind.of`."""
    return kind_of(spec).of(spec)
