"""Labelled pages as arrays: each distinct line's tokens once, pages as lists of line numbers.

A few dozen megabytes hold every page that there is, so that batches are assembled by numpy alone and the whole of it
can be sent to another machine. Knows labels and the prompt's layout; no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_prox.annotation.document_labels import content_quality, labelled_document
from spark_prox.annotation.labels import SPLITS, LabelledPage, split_of
from spark_prox.prompts.line_shape import line_shapes, page_qualities
from spark_prox.prompts.page_prompt import line_pieces

if TYPE_CHECKING:
    from spark_prox.prompts.text_tokenizer import AnyTokenizer

__all__ = ["LABELLED", "MADE", "UNLABELLED", "PackedPages", "pack_pages", "page_quality"]

LABELLED, MADE, UNLABELLED = 0, 1, 2
"""Kinds of pages: a label for each line; a document label alone; none."""
_MAX_PIECES = (22, 8)
_UNKNOWN = -1.0


@dataclass(frozen=True, kw_only=True)
class PackedPages:
    """Arrays. D distinct lines, T tokens of theirs in all, P pages, L lines of theirs in all.

    Attributes:
        tokens: [T] pieces of the distinct lines.
        token_start: [D + 1].
        cut: [D] 1 where pieces were left out between the first 22 and the last 8.
        length, form: [D] shape of each line as if no earlier line were equal to it.
        words: [D] words of each line, at most 65,535.
        lines: [L] distinct line of each page line.
        keep: [L] label of each page line.
        line_start: [P + 1].
        kind: [P] LABELLED, MADE or UNLABELLED.
        split: [P] number in SPLITS.
        source: [P] number in `sources`.
        document: [P] probability that the document is worth keeping; -1 where it is not known.
        qualities: [P, Q] quality levels.
        sources: names.
    """

    tokens: Any
    token_start: Any
    cut: Any
    length: Any
    form: Any
    words: Any
    lines: Any
    keep: Any
    line_start: Any
    kind: Any
    split: Any
    source: Any
    document: Any
    qualities: Any
    sources: Any

    def save(self, path: str | Path) -> None:
        """Write one compressed .npz."""
        import numpy as np

        np.savez_compressed(path, **{entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> PackedPages:
        """Read what `save` wrote."""
        import numpy as np

        with np.load(path) as stored:
            return cls(**{entry.name: stored[entry.name] for entry in fields(cls)})


def page_quality(page: LabelledPage) -> float:
    """How sure a labelled page is worth keeping: by its content, and by the share of it that is content."""
    kept = [line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5]
    words = sum(len(line.split()) for line in kept)
    if words < 20:
        return 0.15
    share = words / max(1, sum(len(line.split()) for line in page.lines))
    return max(0.6 if words >= 60 else 0.0, content_quality(kept) * (0.6 + 0.4 * min(1.0, share / 0.3)))


def pack_pages(
    pages: Sequence[LabelledPage],
    tokenizer: AnyTokenizer,
    *,
    unlabelled: Iterable[Sequence[str]] = (),
    documents: int,
    seed: int,
    max_lines: int = 3000,
    say: Callable[[str], None] = print,
) -> PackedPages:
    """Pack labelled pages, `documents` made ones from training hosts, and pages without labels.

    Args:
        pages: of all splits; their split is kept.
        unlabelled: the lines of pages nobody labelled.
        documents: how many documents to make for the document level.
        max_lines: what is behind the first so many lines of a page is left out.
    """
    import numpy as np

    source = random.Random(seed)
    rows: list[tuple[Sequence[str], Sequence[float], int, int, str, float]] = [
        (
            page.lines[:max_lines],
            page.keep[:max_lines],
            LABELLED,
            SPLITS.index(split_of(page)),
            page.source,
            page_quality(page),
        )
        for page in pages
    ]
    raw = [page for page in pages if split_of(page) != "test"]
    for _ in range(documents):
        page = source.choice(raw)
        made, worth = labelled_document(page, source)
        made = made[:200]
        rows.append((made, [0.0] * len(made), MADE, SPLITS.index(split_of(page)), "made", worth))
    for text in unlabelled:
        rows.append((text[:max_lines], [0.0] * len(text[:max_lines]), UNLABELLED, 0, "unlabelled", _UNKNOWN))
    number: dict[str, int] = {}
    for lines, *_ in rows:
        for line in lines:
            number.setdefault(line, len(number))
    distinct = list(number)
    say(f"{len(rows)} pages, {sum(len(row[0]) for row in rows)} lines, {len(distinct)} distinct")
    shown = line_pieces(tokenizer, distinct, head_pieces=_MAX_PIECES[0], tail_pieces=_MAX_PIECES[1])
    shapes = line_shapes(distinct)
    names = sorted({row[4] for row in rows})
    room = sum(_MAX_PIECES)
    return PackedPages(
        tokens=np.fromiter((token for ids in shown for token in ids), np.uint16),
        token_start=np.cumsum([0, *map(len, shown)]).astype(np.uint32),
        cut=np.array([len(ids) >= room for ids in shown], np.uint8),
        length=np.frombuffer(bytes(shapes.length), np.uint8),
        form=np.frombuffer(bytes(shapes.form), np.uint8),
        words=np.array([min(len(line.split()), 65535) for line in distinct], np.uint16),
        lines=np.fromiter((number[line] for row in rows for line in row[0]), np.uint32),
        keep=np.fromiter((keep >= 0.5 for row in rows for keep in row[1]), np.uint8),
        line_start=np.cumsum([0, *(len(row[0]) for row in rows)]).astype(np.uint32),
        kind=np.array([row[2] for row in rows], np.uint8),
        split=np.array([row[3] for row in rows], np.uint8),
        source=np.array([names.index(row[4]) for row in rows], np.uint8),
        document=np.array([row[5] for row in rows], np.float32),
        qualities=np.array([page_qualities(row[0], line_shapes(row[0])) for row in rows], np.uint8),
        sources=np.array(names),
    )
