"""An endless, reproducible stream of training batches from labelled pages.

Batches come in blocks of pages; block k depends on the seed and on k alone, so a run that was killed goes
on where it stopped. Knows nothing of torch.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from spark_prox.annotation.document_labels import labelled_document
from spark_prox.annotation.labels import LabelledPage
from spark_prox.documents import split_lines
from spark_prox.heuristics.line_classifier import LineClassifier
from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.augment import augmented
from spark_prox.training.embedded.samples import Sample, chunk_samples, document_sample, pack_batches

__all__ = ["TrainingData", "load_unlabelled_texts", "mix_labels", "teacher_pages"]

_BLOCK_PAGES = 160


def mix_labels(
    pages: Sequence[LabelledPage], scores: Sequence[Sequence[float]], *, gold_share: float
) -> list[LabelledPage]:
    """Pages whose targets are the human label and the teacher's score in the given proportion."""
    return [
        dataclasses.replace(
            page,
            keep=tuple(
                gold_share * gold + (1 - gold_share) * soft for gold, soft in zip(page.keep, score, strict=True)
            ),
        )
        for page, score in zip(pages, scores, strict=True)
    ]


def load_unlabelled_texts(paths: Iterable[str], keys: Sequence[str]) -> list[str]:
    """The text of each row of `.jsonl(.gz)` files: the first of `keys` that it has. Rows without one are left out."""
    texts = []
    for path in map(Path, paths):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as stream:
            for row in map(json.loads, stream):
                text = next((row[key] for key in keys if isinstance(row.get(key), str)), "")
                if text.strip():
                    texts.append(text)
    return texts


def teacher_pages(texts: Sequence[str], teacher: LineClassifier, *, max_lines: int = 1500) -> list[LabelledPage]:
    """Pages labelled by the line classifier."""
    pages = []
    for number, text in enumerate(texts):
        lines = tuple(split_lines(text)[:max_lines])
        pages.append(
            LabelledPage(
                page_id=f"unlabelled-{number}", source="teacher", lines=lines, keep=tuple(teacher.score(lines))
            )
        )
    return pages


class TrainingData:
    """Blocks of batches.

    Args:
        pages: labelled pages, one entry for each time that a page is seen in an epoch.
        prompt: the encoder of production.
        batch_tokens: most tokens of a batch, padding included.
        augment_share: share of pages that are varied.
        documents_per_page: samples of the document level for each page.
        seed: of everything random.
    """

    def __init__(
        self,
        pages: Sequence[LabelledPage],
        prompt: CompactPrompt,
        *,
        batch_tokens: int,
        augment_share: float,
        documents_per_page: float,
        seed: int,
    ) -> None:
        self._pages = list(pages)
        self._prompt = prompt
        self._batch_tokens = batch_tokens
        self._augment_share = augment_share
        self._documents_per_page = documents_per_page
        self._seed = seed

    def _order(self, epoch: int) -> list[int]:
        order = list(range(len(self._pages)))
        random.Random(f"{self._seed}/epoch/{epoch}").shuffle(order)
        return order

    def block(self, number: int) -> list[list[Sample]]:
        """Batches of block `number`: the next pages of the epoch's random order."""
        source = random.Random(f"{self._seed}/block/{number}")
        samples: list[Sample] = []
        for place in range(number * _BLOCK_PAGES, (number + 1) * _BLOCK_PAGES):
            epoch, offset = divmod(place, len(self._pages))
            if place == number * _BLOCK_PAGES or offset == 0:
                order = self._order(epoch)
            page = augmented(self._pages, order[offset], source, share=self._augment_share)
            samples += chunk_samples(page, self._prompt, source)
            if source.random() < self._documents_per_page:
                lines, keep = labelled_document(self._pages[order[offset]], source)
                samples.append(document_sample(lines, keep, self._prompt))
        return pack_batches(samples, batch_tokens=self._batch_tokens, source=source)
