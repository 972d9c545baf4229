"""Training batches of pages from packed pages: variations of pages, windows of tokens, labels and weights.

Batch k depends on the seed and on k alone, so a run that was killed goes on where it stopped, and processes can make
batches side by side. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spark_prox.engines.line_encoder import EncoderConfig
from spark_prox.engines.window_batches import window_arrays
from spark_prox.prompts.line_shape import QUALITY_LEVELS
from spark_prox.training.encoder.packed_pages import LABELLED, UNLABELLED, PackedPages

__all__ = ["BatchMaker", "BatchSettings", "PageArrays"]

_CONTENTS, _REPEATED = 6, 1  # a form is case * 6 + content; content 1: an earlier line of the page is equal
_SHORT_WORDS = 8


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """How batches are made.

    Attributes:
        pages: in a batch.
        max_lines: of a page; of a longer one a random part is taken.
        vary_share: share of labelled pages that are varied.
        source_weights: how much more often the pages of a source are taken than others; 1 for those not named.
        short_weight: what a mistake on a short line of content costs more, in words.
        title_weight: the same for the first line of content.
    """

    pages: int = 32
    max_lines: int = 500
    vary_share: float = 0.5
    source_weights: dict[str, float] = field(default_factory=dict)
    short_weight: float = 6.0
    title_weight: float = 30.0


@dataclass(frozen=True, kw_only=True)
class PageArrays:
    """One page: its distinct line numbers [L] and labels [L], the document's label and its qualities."""

    lines: Any
    keep: Any
    kind: int
    document: float
    qualities: Any


class BatchMaker:
    """Makes batches as mappings of numpy arrays: fields of `WindowBatch`, `keep`, `weight` [L], `document` [P]."""

    def __init__(self, packed: PackedPages, config: EncoderConfig, settings: BatchSettings, *, seed: int) -> None:
        import numpy as np

        self._np = np
        self._packed = packed
        self._config = config
        self._settings = settings
        self._seed = seed
        self._start = packed.token_start.astype(np.int64)
        names = [str(name) for name in packed.sources]
        weights = np.array([settings.source_weights.get(name, 1.0) for name in names])
        own = np.flatnonzero((packed.split == 0) & (np.diff(packed.line_start.astype(np.int64)) > 0))
        self._own = own
        self._share = weights[packed.source[own]]
        self._share = self._share / self._share.sum()
        self._labelled = own[packed.kind[own] == LABELLED]

    def pages_of(self, split: int, kind: int = LABELLED) -> list[int]:
        """Numbers of the pages of one split and kind."""
        packed = self._packed
        return [int(n) for n in self._np.flatnonzero((packed.split == split) & (packed.kind == kind))]

    def page(self, number: int) -> PageArrays:
        """A page as it is."""
        packed = self._packed
        part = slice(int(packed.line_start[number]), int(packed.line_start[number + 1]))
        return PageArrays(
            lines=packed.lines[part],
            keep=packed.keep[part],
            kind=int(packed.kind[number]),
            document=float(packed.document[number]),
            qualities=packed.qualities[number],
        )

    def batch(self, number: int) -> dict[str, Any]:
        """Training batch `number`: pages drawn from the training hosts, some of them varied."""
        random = self._np.random.default_rng((self._seed, number))
        drawn = random.choice(self._own, self._settings.pages, p=self._share)
        return self.assemble([self._drawn(int(n), random) for n in drawn])

    def _drawn(self, number: int, random: Any) -> PageArrays:
        page = self.page(number)
        if page.kind == LABELLED and random.random() < self._settings.vary_share:
            page = self._varied(page, random)
        most = self._settings.max_lines
        if len(page.lines) > most:
            start = int(random.integers(len(page.lines) - most))
            part = slice(start, start + most)
            page = PageArrays(
                lines=page.lines[part], keep=page.keep[part], kind=page.kind, document=-1.0, qualities=page.qualities
            )
        return page

    def _span(self, keep: Any) -> tuple[int, int] | None:
        kept = self._np.flatnonzero(keep)
        return (int(kept[0]), int(kept[-1]) + 1) if len(kept) else None

    def _varied(self, page: PageArrays, random: Any) -> PageArrays:
        """Another page's content between this page's menus, boilerplate thinned, or a short part of the page."""
        np = self._np
        lines, keep = page.lines, page.keep
        roll = random.random()
        if roll < 0.4:
            other = self.page(int(random.choice(self._labelled)))
            frame, body = ((lines, keep), (other.lines, other.keep))
            if random.random() < 0.5:
                frame, body = body, frame
            outer, inner = self._span(frame[1]), self._span(body[1])
            if outer and inner:
                lines, keep = (
                    np.concatenate([around[: outer[0]], content[slice(*inner)], around[outer[1] :]])
                    for around, content in zip(frame, body, strict=True)
                )
        if roll > 0.3:  # as in text that was extracted before: most or some of the boilerplate is gone
            share = random.choice([0.2, 0.5, 0.9, 0.97])
            runs = np.cumsum(random.random(len(lines)) < 1 / random.integers(1, 12))
            gone = (random.random(int(runs[-1]) + 1 if len(runs) else 1) < share)[runs] & (keep == 0)
            if share > 0.8:
                gone |= random.random(len(lines)) < 0.03  # and a little of the content
            if not gone.all():
                lines, keep = lines[~gone], keep[~gone]
        span = self._span(keep)
        if random.random() < 0.2 and span:
            start = int(random.integers(*span))
            stop = min(span[1], start + int(random.integers(3, 40)))
            before, after = max(0, span[0] - int(random.integers(12))), span[1] + int(random.integers(12))
            parts = (slice(before, span[0]), slice(start, stop), slice(span[1], after))
            lines, keep = (np.concatenate([values[part] for part in parts]) for values in (lines, keep))
        return PageArrays(lines=lines, keep=keep, kind=page.kind, document=-1.0, qualities=page.qualities)

    def assemble(self, pages: list[PageArrays]) -> dict[str, Any]:
        """The pages as one batch."""
        np, packed, config = self._np, self._packed, self._config
        lines = np.concatenate([page.lines for page in pages]).astype(np.int64)
        page_lines = np.array([len(page.lines) for page in pages], np.int64)
        line_page = np.repeat(np.arange(len(pages)), page_lines)
        # An equal line earlier on the page changes the form.
        key = line_page * (int(packed.lines.max()) + 1) + lines
        _, first = np.unique(key, return_index=True)
        repeated = np.ones(len(lines), bool)
        repeated[first] = False
        form = packed.form[lines].astype(np.int64)
        form = np.where(repeated, form // _CONTENTS * _CONTENTS + _REPEATED, form)
        shape = config.vocabulary + packed.length[lines].astype(np.int64) * config.forms + form
        # The stream of tokens: of each line the pieces shown and its shape, at each page's end its qualities.
        qualities = np.stack([page.qualities for page in pages]).astype(np.int64)
        qualities = qualities + np.arange(qualities.shape[1]) * QUALITY_LEVELS + config.vocabulary + config.shapes
        stored = self._start[lines + 1] - self._start[lines]
        head, tail = config.head_pieces, config.tail_pieces
        closes = np.zeros(len(lines), np.int64)  # quality tokens behind a line
        closes[np.cumsum(page_lines) - 1] = qualities.shape[1]
        line_tokens = np.minimum(stored, head + tail) + 1
        taken = line_tokens + closes
        of_line = np.repeat(np.arange(len(lines)), taken)
        offset = np.arange(len(of_line)) - np.repeat(np.cumsum(taken) - taken, taken)
        from_end = stored[of_line] - (line_tokens[of_line] - 1 - offset)
        place = np.where((offset >= head) & (stored[of_line] > head + tail), from_end, offset)
        at = np.minimum(self._start[lines[of_line]] + place, len(packed.tokens) - 1)
        stream = packed.tokens[at].astype(np.int64)
        is_shape = offset == line_tokens[of_line] - 1
        stream[is_shape] = shape
        stream[offset >= line_tokens[of_line]] = qualities.ravel()
        page_tokens = np.bincount(line_page, taken, len(pages)).astype(np.int64)
        return {**window_arrays(stream, page_tokens, config), **self._labels(pages, lines, line_page)}

    def _labels(self, pages: list[PageArrays], lines: Any, line_page: Any) -> dict[str, Any]:
        np = self._np
        keep = np.concatenate([page.keep for page in pages]).astype(np.float32)
        words = self._packed.words[lines].astype(np.float32)
        cost = np.minimum(words, 200) + 3
        cost += self._settings.short_weight * ((words < _SHORT_WORDS) & (keep > 0))
        position = np.cumsum(np.bincount(line_page, minlength=len(pages))) - np.bincount(
            line_page, minlength=len(pages)
        )
        for start, page in zip(position, pages, strict=True):
            if page.kind == LABELLED and (span := self._span(page.keep)):
                cost[start + span[0]] += self._settings.title_weight
        total = np.bincount(line_page, cost, len(pages))
        cost = cost / total[line_page]
        kinds = np.array([page.kind for page in pages])
        return {
            "keep": keep,
            "weight": cost.astype(np.float32),
            "labelled": (kinds == LABELLED),
            "unlabelled": (kinds == UNLABELLED),
            "line_page": line_page,
            "words": words,
            "document": np.array([page.document for page in pages], np.float32),
        }
