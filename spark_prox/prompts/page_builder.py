"""Prompts of line encoders: one prompt for a whole page, by `spark_prox.prompts.page_prompt`. Knows no engine."""

from __future__ import annotations

from spark_prox.documents import Lines
from spark_prox.models import load_tokenizer, model_setting
from spark_prox.prompts.builder import ChunkPrompts, Prompt, PromptSpec
from spark_prox.prompts.chunking import Chunk, Chunks, split_chunks
from spark_prox.prompts.page_prompt import PagePrompt

__all__ = ["PagePromptBuilder"]


class PagePromptBuilder:
    """The line encoder's layout, see `spark_prox.prompts.page_prompt`: one prompt has thousands of lines."""

    def __init__(self, page: PagePrompt) -> None:
        self._page = page

    @classmethod
    def of(cls, spec: PromptSpec) -> PagePromptBuilder:
        """See `BuilderKind`."""
        pieces = {name: model_setting(spec.model_path, name) for name in ("head_pieces", "tail_pieces")}
        return cls(PagePrompt(load_tokenizer(spec.model_path), **pieces))

    @staticmethod
    def parameters(spec: PromptSpec) -> dict[str, object]:
        """See `BuilderKind`: the layout alone, which has its own budgets."""
        return {"layout": PagePrompt.NAME, "version": PagePrompt.VERSION}

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
            lines, page.line_tokens(lines), max_tokens=page.max_chunk_tokens, max_lines=page.max_chunk_lines
        )
