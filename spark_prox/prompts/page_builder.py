"""Prompts of line encoders: one prompt for a whole page, by `spark_prox.prompts.page_prompt`. Knows no engine."""

from __future__ import annotations

from spark_prox.documents import Lines
from spark_prox.models import load_tokenizer, model_number
from spark_prox.prompts.builder import ChunkPrompts, Prompt, PromptSpec
from spark_prox.prompts.chunking import Chunk, Chunks, split_chunks
from spark_prox.prompts.page_prompt import PagePrompt

__all__ = ["PagePromptBuilder"]


class PagePromptBuilder:
    """The line encoder's layout, see `spark_prox.prompts.page_prompt`: one prompt has thousands of lines."""

    one_pass = True
    reads_lines = True

    def __init__(self, page: PagePrompt, max_chunks: int = 0) -> None:
        self._page = page
        self._max_chunks = max_chunks

    @classmethod
    def of(cls, spec: PromptSpec) -> PagePromptBuilder:
        """See `BuilderKind`."""
        pieces = {name: model_number(spec.model_path, name) for name in ("head_pieces", "tail_pieces")}
        return cls(PagePrompt(load_tokenizer(spec.model_path), **pieces), spec.max_chunks)

    @staticmethod
    def parameters(spec: PromptSpec) -> dict[str, object]:
        """See `BuilderKind`: the layout alone, which has its own budgets."""
        return {"layout": PagePrompt.NAME, "version": PagePrompt.VERSION}

    def document_prompt(self, text: str) -> Prompt:
        """See `PromptBuilder`. The verdict is read from the first chunk, which is nearly always the whole document."""
        lines = Lines(text)
        ids, read_at = self._page.document_prompt(lines, self._chunks(lines)[0])
        return Prompt(token_ids=ids, read_at=read_at)

    def page_prompt(self, text: str) -> tuple[Prompt, Chunk | None]:
        """See `WholePageBuilder`."""
        lines = Lines(text)
        chunks = self._chunks(lines)
        chunk = chunks[0]
        ids, read_at = self._page.chunk_prompt(lines, chunk)
        last = len(ids) - 1
        if len(chunks) > 1 or chunk.too_long or chunk.left_over:
            return Prompt(token_ids=ids, read_at=(last,)), None
        return Prompt(token_ids=ids, read_at=(*read_at, last)), chunk

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
