"""Compare authors of programs on the same held-out pages: by source and overall, with intervals and paired differences.

Takes verdicts, whoever made them; knows no model. The report is plain data, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from spark_prox.refiners.labels import LabelledPage
from spark_prox.refiners.metrics import (
    PageScore,
    PageWords,
    auc,
    bootstrap_interval,
    mean,
    paired_difference,
    score_documents,
    sum_counts,
)

__all__ = [
    "ALL",
    "AuthorFigures",
    "DocumentFigures",
    "as_rows",
    "compare_authors",
    "document_figures",
    "document_table",
    "figures_table",
]

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class AuthorFigures:
    """One author on one source.

    Attributes:
        word_f1: mean over pages, with its 95% bootstrap interval in `word_f1_interval`.
        pooled_word_f1: of all pages' words together.
        word_recall, word_precision: means over pages.
        chunk_f1: of removed line numbers, pooled over pages.
        share_removed: words removed of all words, pooled.
        over_keeping: mean difference of word F1 to keeping everything on the same pages, and its interval.
        over_reference: the same against the reference author, None for itself or without one.
    """

    author: str
    source: str
    pages: int
    word_f1: float
    word_f1_interval: tuple[float, float]
    pooled_word_f1: float
    word_recall: float
    word_precision: float
    chunk_f1: float
    share_removed: float
    over_keeping: tuple[float, float, float]
    over_reference: tuple[float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class DocumentFigures:
    """The document stage on documents with a human label.

    Attributes:
        auc: with its 95% bootstrap interval in `auc_interval`.
        f1: of kept documents at the chosen margin; `f1_keep_everything` is that of no drop at all.
        dropped: share of documents dropped; `good_dropped`: share of good documents dropped.
    """

    author: str
    documents: int
    auc: float
    auc_interval: tuple[float, float]
    f1: float
    f1_keep_everything: float
    dropped: float
    good_dropped: float


def _figures(
    author: str,
    source: str,
    own: Sequence[PageScore],
    keeping: Sequence[PageScore],
    reference: Sequence[PageScore] | None,
) -> AuthorFigures:
    f1s = [score.words.f1 for score in own]
    page_words = sum(score.page_words for score in own)
    kept_words = sum(score.words.predicted for score in own)
    return AuthorFigures(
        author=author,
        source=source,
        pages=len(own),
        word_f1=mean(f1s),
        word_f1_interval=bootstrap_interval(len(f1s), lambda drawn: mean([f1s[index] for index in drawn])),
        pooled_word_f1=sum_counts([score.words for score in own]).f1,
        word_recall=mean([score.words.recall for score in own]),
        word_precision=mean([score.words.precision for score in own]),
        chunk_f1=sum_counts([score.removed for score in own]).f1,
        share_removed=1 - kept_words / page_words if page_words else 0.0,
        over_keeping=paired_difference(f1s, [score.words.f1 for score in keeping]),
        over_reference=paired_difference(f1s, [score.words.f1 for score in reference]) if reference else None,
    )


def compare_authors(
    pages: Sequence[LabelledPage],
    verdicts: Mapping[str, Sequence[Sequence[bool]]],
    *,
    reference: str | None = None,
) -> list[AuthorFigures]:
    """Figures of every author on every source and on all pages.

    Args:
        pages: held-out pages.
        verdicts: for each author, for each page, which lines it keeps.
        reference: the author that the others are compared with, besides keeping everything.
    """
    words = [PageWords(page.lines, [keep >= 0.5 for keep in page.keep]) for page in pages]

    def score(flags: Sequence[Sequence[bool]]) -> list[PageScore]:
        return [own.score(keep) for own, keep in zip(words, flags, strict=True)]

    scores = {author: score(flags) for author, flags in verdicts.items()}
    keeping = score([[True] * len(page.lines) for page in pages])
    figures = []
    for source in [*sorted({page.source for page in pages}), ALL]:
        chosen = [index for index, page in enumerate(pages) if source in (ALL, page.source)]
        for author, own in scores.items():
            other = scores[reference] if reference and reference != author else None
            figures.append(
                _figures(
                    author,
                    source,
                    [own[index] for index in chosen],
                    [keeping[index] for index in chosen],
                    [other[index] for index in chosen] if other else None,
                )
            )
    return figures


def document_figures(
    author: str, gold: Sequence[bool], margins: Sequence[float], *, min_drop_margin: float
) -> DocumentFigures:
    """Figures of the document stage from its margins; one below 0 and `min_drop_margin` from it means drop."""
    keep = [margin >= 0 or -margin < min_drop_margin for margin in margins]
    good = [kept for kept, label in zip(keep, gold, strict=True) if label]
    return DocumentFigures(
        author=author,
        documents=len(gold),
        auc=auc(gold, margins),
        auc_interval=bootstrap_interval(
            len(gold), lambda drawn: auc([gold[index] for index in drawn], [margins[index] for index in drawn])
        ),
        f1=score_documents(gold, keep).f1,
        f1_keep_everything=score_documents(gold, [True] * len(gold)).f1,
        dropped=1 - sum(keep) / len(keep) if keep else 0.0,
        good_dropped=1 - sum(good) / len(good) if good else 0.0,
    )


def figures_table(figures: Sequence[AuthorFigures]) -> str:
    """A Markdown table: one row for each source and author."""
    rows = [
        "| source | pages | author | word F1 (95% interval) | pooled | recall | precision | chunk F1 | words removed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in figures:
        low, high = entry.word_f1_interval
        rows.append(
            f"| {entry.source} | {entry.pages} | {entry.author} | {entry.word_f1:.3f} ({low:.3f}-{high:.3f}) "
            f"| {entry.pooled_word_f1:.3f} | {entry.word_recall:.3f} | {entry.word_precision:.3f} "
            f"| {entry.chunk_f1:.3f} | {entry.share_removed:.1%} |"
        )
    return "\n".join(rows)


def document_table(figures: Sequence[DocumentFigures]) -> str:
    """A Markdown table of the document stage."""
    rows = ["| author | documents | AUC (95% interval) | F1 | F1 of keeping everything | dropped | good ones dropped |"]
    rows.append("|---|---|---|---|---|---|---|")
    for entry in figures:
        low, high = entry.auc_interval
        rows.append(
            f"| {entry.author} | {entry.documents} | {entry.auc:.3f} ({low:.3f}-{high:.3f}) | {entry.f1:.3f} "
            f"| {entry.f1_keep_everything:.3f} | {entry.dropped:.1%} | {entry.good_dropped:.1%} |"
        )
    return "\n".join(rows)


def as_rows(figures: Sequence[AuthorFigures] | Sequence[DocumentFigures]) -> list[dict[str, object]]:
    """Figures as JSON-ready mappings."""
    return [asdict(entry) for entry in figures]
