"""Prompts of templates made of text: strings around the document, and numbered lines in chunks.

For the released ProX refiners and models that were fine-tuned like them. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from spark_prox.documents import Lines
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer, model_token_ids
from spark_prox.prompts.builder import ChunkPrompts, Prompt, PromptSpec
from spark_prox.prompts.chunking import Chunk, split_chunks
from spark_prox.prompts.encoding import count_lines, encode_all
from spark_prox.prompts.segment_cache import LineIds, SegmentCache
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["TextPromptBuilder"]

_CHARS_PER_TOKEN = 24  # no tokenizer of a language model packs natural text more tightly than this on average
_USUAL_CHARS_PER_TOKEN = 6  # a document longer than this will have to be cut
_WORD_CHARS = 64  # a longer word, or a text in a script without blanks, is cut where the tokens end
_CHARS_AT_ONCE = 1 << 16  # of a document whose lines are all looked up before the first chunk is made
_LINE_CHARS_PER_TOKEN = 64  # a line longer than this many characters per token of budget is not worth encoding


class TextPromptBuilder:
    """Prompts of templates made of text, for the released ProX refiners and models fine-tuned like them."""

    one_pass = False
    reads_lines = False

    def __init__(self, spec: PromptSpec, tokenizer: AnyTokenizer, *, bos_token_id: int | None) -> None:
        self._spec = spec
        self._tokenizer = TextTokenizer.of(tokenizer)
        self._bos = () if bos_token_id is None else (int(bos_token_id),)
        self._overhead = self._template_tokens() + 2
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

    @classmethod
    def of(cls, spec: PromptSpec) -> TextPromptBuilder:
        """See `BuilderKind`."""
        bos = model_token_ids(spec.model_path, "bos_token_id")
        return cls(spec, load_tokenizer(spec.model_path), bos_token_id=bos[0] if bos else None)

    @staticmethod
    def parameters(spec: PromptSpec) -> dict[str, object]:
        """See `BuilderKind`: the budgets, and how the document level gets its answer."""
        found: dict[str, object] = {
            "max_prompt_tokens": spec.max_prompt_tokens,
            "max_new_tokens": spec.max_new_tokens,
        }
        if spec.template.stage == "doc":
            return found | {"decide": spec.decide}
        return found | {"max_chunk_tokens": spec.max_chunk_tokens}

    def document_prompt(self, text: str) -> Prompt:
        """See `PromptBuilder`. Cuts the document, so that the template's closing part is never lost."""
        budget = self._room
        text = text[: budget * _CHARS_PER_TOKEN]
        if len(text) > budget * _USUAL_CHARS_PER_TOKEN:
            text = self._fitting(text, budget)
        ids = self._prompt_ids(text)
        while len(ids) > self._spec.max_prompt_tokens - self._spec.max_new_tokens:
            text = self._cut(text, budget)
            budget = max(1, budget - 16)  # cutting may change how the last word is encoded: leave a little more room
            ids = self._prompt_ids(text)
        if self._spec.decide == "read":
            ids = ids + self._answer_prefix
            return Prompt(token_ids=ids, read_at=(len(ids) - 1,), read_tokens=self._answer_tokens)
        return Prompt(token_ids=ids, max_new_tokens=self._spec.max_new_tokens)

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        """See `PromptBuilder`. Lines keep their number in the document, as the released refiners were trained,
        unless the template counts anew in each chunk.
        """
        budget = min(self._spec.max_chunk_tokens, self._room)
        lines = Lines(text)
        known = self._line_ids(lines) if len(text) <= _CHARS_AT_ONCE else None
        chunks = split_chunks(
            lines,
            known.lengths if known else self._line_tokens(lines, budget),
            max_tokens=budget,
            max_lines=self._spec.template.max_chunk_lines,
            max_chunks=self._spec.max_chunks,
        )
        return ChunkPrompts(chunks, partial(self._chunk_prompt, known))

    def _chunk_prompt(self, known: LineIds | None, chunk: Chunk) -> Prompt | None:
        spec, template = self._spec, self._spec.template
        local = template.numbering == "chunk"
        found = None
        if known is not None:
            around = {"prefix": template.prefix, "suffix": template.suffix}
            found = known.joined(chunk.first_line, chunk.last_line + 1, **around)
        if found is None:
            first = template.first_number + (0 if local else chunk.first_line)
            shown = "\n".join(template.show_line(line, number) for number, line in enumerate(chunk.lines, first))
            ids = self._prompt_ids(shown)
        else:
            ids = (*self._bos, *found)
        fits = len(ids) + spec.max_new_tokens <= spec.max_prompt_tokens
        if not fits:
            return None
        return Prompt(token_ids=ids, max_new_tokens=spec.max_new_tokens, first_number=chunk.first_line if local else 0)

    def _line_ids(self, lines: Lines) -> LineIds | None:
        """The ids of the lines as chunks show them; None where each chunk has to be encoded."""
        words, template = self._tokenizer.words, self._spec.template
        if not isinstance(words, SegmentCache) or template.numbering == "chunk":
            return None
        return words.lines(
            [template.show_line(line, number) for number, line in enumerate(lines, template.first_number)]
        )

    def _line_tokens(self, lines: Lines, budget: int) -> Iterator[int]:
        """Tokens of each line with its number and newline. A line far over the budget is not encoded at all."""
        longest = budget * _LINE_CHARS_PER_TOKEN
        template = self._spec.template
        local = template.numbering == "chunk"  # where a chunk begins is not known yet: take its largest number
        shown = (
            template.show_line(line, template.max_chunk_lines if local else number) if len(line) <= longest else ""
            for number, line in enumerate(lines, template.first_number)
        )
        for line, tokens in zip(lines, count_lines(self._tokenizer, shown), strict=True):
            yield tokens if len(line) <= longest else budget + 1

    def _cut(self, text: str, budget: int) -> str:
        """The longest beginning of the text that encodes to `budget` tokens; words are whole where they can be."""
        found = self._fitting(text, budget)
        return found if len(found) < len(text) else text[: int(len(text) * 0.98)]  # joined to the template, it grew

    def _fitting(self, text: str, budget: int) -> str:
        kept = ""
        if isinstance(self._tokenizer.words, SegmentCache):
            kept, tokens, word = self._tokenizer.words.beginning(text, budget)
            if not word or (kept and len(word) <= _WORD_CHARS):
                return kept
            budget -= tokens
        encoding = self._tokenizer.encode(text[len(kept) :], add_special_tokens=False)
        if len(encoding.ids) <= budget:
            return text
        return text[: len(kept) + (int(encoding.offsets[budget - 1][1]) if budget else 0)]

    def _encode(self, text: str) -> tuple[int, ...]:
        (ids,) = encode_all(self._tokenizer, [text])
        return tuple(ids)

    def _prompt_ids(self, shown: str) -> tuple[int, ...]:
        """The whole prompt of a document, or of a chunk's lines."""
        template = self._spec.template
        return self._bos + self._encode(template.prefix + shown + template.suffix)

    def _template_tokens(self) -> int:
        """The tokens of a prompt without a document."""
        return len(self._encode(self._spec.template.prefix + self._spec.template.suffix))

    def _answers(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Find the point at which the two answers of the document level differ: shared tokens, then one token of each.

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
            raise ModelError("TEMPLATE_ANSWERS", "The tokenizer gives both answers of the document level alike.")
        return keep[start:stop], (keep[stop], drop[stop])
