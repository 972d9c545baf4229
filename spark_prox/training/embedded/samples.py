"""Training samples: prompts with the wanted verdict and the cost of a mistake at each read position.

Uses the same prompt encoder as production. Deterministic in the random source. Knows nothing of torch.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spark_prox.annotation.labels import LabelledPage, line_weight
from spark_prox.prompts.chunking import Chunk, split_chunks
from spark_prox.prompts.compact import CompactPrompt

__all__ = ["Sample", "chunk_samples", "document_sample", "pack_batches"]

_MAX_CHUNKS_PER_PAGE = 8
_BODY_WEIGHT = 0.3
_DOCUMENT_WEIGHT = 24.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One prompt and the verdicts wanted.

    Attributes:
        ids: the prompt's token ids.
        read_at: positions whose next token is a verdict, ascending.
        keep: wanted probability of `<keep>` there.
        weights: the cost of a mistake there.
        other: token id of the other verdict, `<remove>` or `<drop>`.
    """

    ids: tuple[int, ...]
    read_at: tuple[int, ...]
    keep: tuple[float, ...]
    weights: tuple[float, ...]
    other: int


def _random_chunks(page: LabelledPage, prompt: CompactPrompt, source: random.Random) -> list[Chunk]:
    """The page in chunks whose first border is random, so that no line is always first or last of its chunk."""
    costs = prompt.line_tokens(page.lines)
    max_lines = prompt.max_chunk_lines if source.random() < 0.7 else source.randint(12, prompt.max_chunk_lines)
    shift = source.randrange(max_lines) if len(page.lines) > max_lines else 0
    chunks = []
    for start, stop in ((0, shift), (shift, len(page.lines))):
        for chunk in split_chunks(
            page.lines[start:stop], costs[start:stop], max_tokens=prompt.max_chunk_tokens, max_lines=max_lines
        ):
            if not chunk.too_long:
                chunks.append(dataclasses.replace(chunk, first_line=chunk.first_line + start))
    return chunks


def chunk_samples(page: LabelledPage, prompt: CompactPrompt, source: random.Random) -> Iterator[Sample]:
    """Chunks of one page at random borders; at most eight, and chunks without content less often than others."""
    chunks = _random_chunks(page, prompt, source)
    source.shuffle(chunks)
    taken = 0
    for chunk in chunks:
        keep = page.keep[chunk.first_line : chunk.last_line + 1]
        if taken == _MAX_CHUNKS_PER_PAGE:
            return
        if taken and max(keep) < 0.5 and source.random() < 0.5:
            continue
        taken += 1
        ids, read_at = prompt.chunk_prompt(page.lines, chunk)
        weights = tuple(line_weight(len(line[:400].split())) for line in chunk.lines)
        numbers = set(ids[read_at[0] :])
        body = tuple(place for place, token in enumerate(ids[: read_at[0]]) if token in numbers)
        yield Sample(
            ids=ids,
            read_at=body + read_at,
            keep=keep + keep,
            weights=tuple(_BODY_WEIGHT * weight for weight in weights) + weights,
            other=prompt.chunk_read_tokens[1],
        )


def document_sample(lines: Sequence[str], keep: float, prompt: CompactPrompt) -> Sample:
    """One document with the probability that it is worth keeping."""
    ids, read_at = prompt.document_prompt(lines)
    return Sample(
        ids=ids, read_at=read_at, keep=(keep,), weights=(_DOCUMENT_WEIGHT,), other=prompt.document_read_tokens[1]
    )


def pack_batches(samples: Sequence[Sample], *, batch_tokens: int, source: random.Random) -> list[list[Sample]]:
    """Batches of samples of like length, at most `batch_tokens` tokens with padding, in random order."""
    batches: list[list[Sample]] = []
    batch: list[Sample] = []
    order = sorted(samples, key=lambda sample: len(sample.ids) + 64 * source.random())
    for sample in order:
        longest = max([len(sample.ids), *(len(other.ids) for other in batch)])
        if batch and longest * (len(batch) + 1) > batch_tokens:
            batches.append(batch)
            batch = []
        batch.append(sample)
    if batch:
        batches.append(batch)
    source.shuffle(batches)
    return batches
