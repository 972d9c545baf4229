"""Training samples: prompts by the production prompt builder, each with its program and a weight for each token.

The scheme of the weights. A token of a program counts the square root of the words at stake in it, from 1 to 8
(`labels.line_weight`): a mistake there loses them or leaves them in. A word of content weighs `content_factor`, a word
of boilerplate 1. A line of content of fewer than eight words counts six more, a page's first one, usually its title,
thirty more: they are few and easily lost, and readers miss them most. These words are at stake:
- where a removal begins (its name and first line number, or its not being there): the content just before it and the
  words that it removes;
- where it ends (its last line number): the words that it removes and the content just after it;
- in a replacement: the words that it replaces, as boilerplate, and twenty more, since a template repeats them;
- at the end of a program, and in one that keeps everything: the content from there to the end of the chunk;
- in a document's verdict: the words of the document, as content where it is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spark_prox.annotation.labels import line_weight
from spark_prox.documents import LEVELS, Level
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer, model_token_ids
from spark_prox.programs import DropAll, Op, RemoveLines, ReplaceText, format_program, parse_program
from spark_prox.programs.write import line_ranges
from spark_prox.prompts.builder import PromptBuilder, PromptSpec, builder_for
from spark_prox.prompts.chunking import Chunk
from spark_prox.prompts.templates import PromptTemplate, template_for
from spark_prox.training.sft.examples import Example
from spark_prox.training.sft.settings import SftConfig

__all__ = ["SampleMaker", "SftSample", "chunk_ops", "prompt_builder", "weighted_program"]

Span = tuple[int, int, float]


@dataclass(frozen=True, kw_only=True)
class SftSample:
    """One prompt with the program wanted behind it.

    Attributes:
        ids: token ids of both.
        prompt_tokens: how many of them are the prompt's: nothing is learnt there.
        weights: of the tokens behind the prompt.
    """

    ids: tuple[int, ...]
    prompt_tokens: int
    weights: tuple[float, ...]


def prompt_builder(config: SftConfig, stage: Level, model: str, *, decide: str = "generate") -> PromptBuilder:
    """The production prompt builder of a level, with the settings of a training run."""
    return builder_for(
        PromptSpec(
            template=_template(config, stage),
            model_path=model,
            max_prompt_tokens=config.max_prompt_tokens,
            max_chunk_tokens=config.max_chunk_tokens,
            max_new_tokens=config.max_new_tokens if stage == "chunk" else _DOC_NEW_TOKENS,
            decide=decide,
        )
    )


_SHORT_WORDS, _SHORT_EXTRA, _TITLE_EXTRA, _REPLACED_EXTRA = 8, 6, 30, 20
_DOC_NEW_TOKENS = 8  # as the `doc` section of a run has it: the two answers are shorter


def _template(config: SftConfig, stage: Level) -> PromptTemplate:
    template = template_for(config.chunk_template if stage == "chunk" else config.doc_template, stage, config.model)
    if template.kind != "text":
        raise ModelError(
            "TEMPLATE_UNTRAINABLE", f"Template {template.name!r} generates nothing.", "Use a prox-* template."
        )
    return template


def chunk_ops(ops: Sequence[Op], removed: set[int], chunk: Chunk) -> list[Op]:
    """The part of a whole text's program that concerns one of its chunks: ascending removals, then replacements."""
    inside = removed & set(range(chunk.first_line, chunk.last_line + 1))
    kept = "\n".join(line for number, line in enumerate(chunk.lines, chunk.first_line) if number not in inside)
    found: list[Op] = [RemoveLines(first, last) for first, last in line_ranges(inside)]
    return found + [op for op in ops if isinstance(op, ReplaceText) and op.source in kept]


def weighted_program(
    ops: Sequence[Op], chunk: Chunk, *, content_factor: float, title: int | None = None
) -> tuple[str, list[Span], float]:
    """A chunk's program as text, its spans with the words at stake in each, and the words at stake at its end.

    Args:
        ops: as `chunk_ops` gives them.
        title: number of the text's first line of content.

    Returns:
        The program; (start, stop, words at stake) in characters of it; words at stake after it.
    """
    words = [len(line.split()) for line in chunk.lines]
    content = [count + _SHORT_EXTRA * (0 < count < _SHORT_WORDS) for count in words]
    if title is not None and chunk.first_line <= title <= chunk.last_line:
        content[title - chunk.first_line] += _TITLE_EXTRA
    removals = [op for op in ops if isinstance(op, RemoveLines)]
    borders = [chunk.first_line, *(line for op in removals for line in (op.first, op.last + 1)), chunk.last_line + 1]
    sums = [
        sum(counted[first - chunk.first_line : stop - chunk.first_line])
        for (first, stop), counted in zip(itertools.pairwise(borders), itertools.cycle((content, words)), strict=False)
    ]  # content, removed, content, removed, ..., content
    spans: list[Span] = []
    text = ""
    for number, op in enumerate(ops):
        call = ("\n" if text else "") + format_program([op])
        start, text = len(text), text + call
        if isinstance(op, RemoveLines):
            before, gone, after = sums[2 * number : 2 * number + 3]
            comma = start + call.index(",")
            spans.append((start, comma, content_factor * before + gone))
            spans.append((comma, len(text), gone + content_factor * after))
        elif isinstance(op, ReplaceText):
            spans.append((start, len(text), float(len(op.source.split())) + _REPLACED_EXTRA))
    rest = content_factor * sums[-1]
    if not spans:
        text = format_program([])
        spans = [(0, len(text), rest)]
    return text, spans, rest


class SampleMaker:
    """Makes samples of both levels for one model.

    Args:
        config: templates and budgets; `config.model` has the tokenizer.

    Raises:
        ModelError: MODEL_NO_EOS, TEMPLATE_UNTRAINABLE, and what the prompt builder raises.
    """

    def __init__(self, config: SftConfig) -> None:
        self._config = config
        self._tokenizer = load_tokenizer(config.model)
        self._builders = {stage: prompt_builder(config, stage, config.model) for stage in LEVELS}
        eos = model_token_ids(config.model, "eos_token_id")
        if not eos:
            raise ModelError("MODEL_NO_EOS", f"{config.model!r} has no eos_token_id: its programs would never end.")
        self._eos = eos[0]

    def samples(self, example: Example) -> list[SftSample]:
        """One sample of a document, or one of each of its chunks; none of a line too long for a chunk."""
        builder = self._builders[example.stage]
        if example.stage == "doc":
            keep = not any(isinstance(op, DropAll) for op in parse_program(example.program).program)
            stake = len(example.text.split()) * (self._config.content_factor if keep else 1.0)
            answer = _template(self._config, "doc").answers[0 if keep else 1]
            prompt = builder.document_prompt(example.text).token_ids
            return [self._sample("doc", prompt, answer, [(0, len(answer), stake)], stake, example.weight)]
        ops, removed = parse_program(example.program).program, example.removed_lines
        lines = example.text.split("\n")
        title = next((n for n, line in enumerate(lines) if n not in removed and line.strip()), None)
        samples = []
        for chunk, chunk_prompt in builder.chunk_prompts(example.text):
            if chunk_prompt is not None:
                shift = chunk_prompt.first_number
                shown = replace(chunk, first_line=chunk.first_line - shift)
                program, spans, rest = weighted_program(
                    chunk_ops(ops, {line - shift for line in removed}, shown),
                    shown,
                    content_factor=self._config.content_factor,
                    title=None if title is None else title - shift,
                )
                samples.append(self._sample("chunk", chunk_prompt.token_ids, program, spans, rest, example.weight))
        return samples

    def _sample(
        self, stage: Level, prompt: tuple[int, ...], program: str, spans: Sequence[Span], rest: float, weight: float
    ) -> SftSample:
        """A program longer than a run would decode is cut as decoding would cut it, without an end."""
        ids, starts = self._program_tokens(stage, program)
        stakes = [next((stake for start, stop, stake in spans if start <= at < stop), rest) for at in starts]
        most = self._config.max_new_tokens if stage == "chunk" else _DOC_NEW_TOKENS
        return SftSample(
            ids=prompt + tuple([*ids, self._eos][:most]),
            prompt_tokens=len(prompt),
            weights=tuple(weight * line_weight(round(stake)) for stake in [*stakes, rest][:most]),
        )

    def _program_tokens(self, stage: Level, program: str) -> tuple[list[int], list[int]]:
        """Token ids of a program as it stands behind the template, and the character of it that each begins at.

        A tokenizer that joins the template's end with what follows would give tokens that no prompt is followed by: the
        program is then encoded alone; but in the document level `prompts.TextPromptBuilder` reads where they part.
        """
        suffix = _template(self._config, stage).suffix
        tail, lead = "x" + (suffix or "\n"), "x" + (f"{suffix} " if suffix else "\n")
        before = self._tokenizer.encode(tail, add_special_tokens=False).ids
        encoded = self._tokenizer.encode(lead + program, add_special_tokens=False)
        start = next((n for n, (a, b) in enumerate(zip(before, encoded.ids, strict=False)) if a != b), len(before))
        if start < len(before) and stage == "chunk":
            encoded, start, lead = self._tokenizer.encode(program, add_special_tokens=False), 0, ""
        return encoded.ids[start:], [max(0, first - len(lead)) for first, _ in encoded.offsets[start:]]
