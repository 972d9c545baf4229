"""Prompts of the embedded refiner: its own token layout, of which decisions are read. Knows no engine."""

from __future__ import annotations

from spark_prox.documents import Lines
from spark_prox.models import load_tokenizer
from spark_prox.prompts.builder import ChunkPrompts, Prompt, PromptSpec
from spark_prox.prompts.chunking import Chunk, split_chunks
from spark_prox.prompts.compact import CompactPrompt
from spark_prox.prompts.text_tokenizer import AnyTokenizer

__all__ = ["CompactPromptBuilder"]


class CompactPromptBuilder:
    """The embedded refiner's own layout, see `spark_prox.prompts.compact`: decisions are read, never generated."""

    one_pass = False
    reads_lines = True

    def __init__(self, tokenizer: AnyTokenizer, max_chunks: int = 0) -> None:
        self._compact = CompactPrompt(tokenizer)
        self._max_chunks = max_chunks

    @classmethod
    def of(cls, spec: PromptSpec) -> CompactPromptBuilder:
        """See `BuilderKind`."""
        return cls(load_tokenizer(spec.model_path), spec.max_chunks)

    @staticmethod
    def parameters(spec: PromptSpec) -> dict[str, object]:
        """See `BuilderKind`: the layout alone, which has its own budgets."""
        return {"layout": CompactPrompt.NAME, "version": CompactPrompt.VERSION}

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
