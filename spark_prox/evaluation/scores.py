"""Compare writers of programs on the same held-out pages: by source and overall, with intervals and paired differences.

Takes executed pages, whoever wrote the programs; knows no model. The report is plain data, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from spark_prox.annotation.labels import LabelledPage
from spark_prox.documents import join_lines
from spark_prox.evaluation.executed import ExecutedPage
from spark_prox.evaluation.metrics import (
    PageScore,
    PageWords,
    auc,
    bootstrap_interval,
    mean,
    paired_difference,
    score_documents,
    sum_counts,
)
from spark_prox.models import EMBEDDED, load_tokenizer

__all__ = [
    "ALL",
    "DocumentFigures",
    "WriterFigures",
    "as_rows",
    "compare_writers",
    "document_figures",
    "document_table",
    "figures_table",
]

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class WriterFigures:
    """One writer on one source.

    Attributes:
        word_f1: mean over pages, with its 95% bootstrap interval in `word_f1_interval`.
        pooled_word_f1: of all pages' words together.
        word_recall, word_precision: means over pages.
        chunk_f1: of removed line numbers, pooled over pages.
        share_removed: words removed of all words, pooled.
        tokens_kept: tokens of the refined texts of those before, pooled, by the embedded refiner's tokenizer.
        failure_ratio: share of chunk programs that are missing or unreadable.
        refused_ratio: share of chunk programs that the policy refused.
        calls_per_program: calls in a chunk program, mean.
        over_keeping: mean difference of word F1 to keeping everything on the same pages, and its interval.
        over_reference: the same against the reference writer, None for itself or without one.
    """

    writer: str
    source: str
    pages: int
    word_f1: float
    word_f1_interval: tuple[float, float]
    pooled_word_f1: float
    word_recall: float
    word_precision: float
    chunk_f1: float
    share_removed: float
    tokens_kept: float
    failure_ratio: float
    refused_ratio: float
    calls_per_program: float
    over_keeping: tuple[float, float, float]
    over_reference: tuple[float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class DocumentFigures:
    """The document level on documents with a human label.

    Attributes:
        auc: with its 95% bootstrap interval in `auc_interval`.
        f1: of kept documents at the chosen margin, with its 95% bootstrap interval in `f1_interval`;
            `f1_keep_everything` is that of no drop at all.
        over_keeping: difference of F1 to keeping everything, and its interval from the same resampled documents.
        dropped: share of documents dropped; `good_dropped`: share of good documents dropped.
    """

    writer: str
    documents: int
    auc: float
    auc_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    f1_keep_everything: float
    over_keeping: tuple[float, float, float]
    dropped: float
    good_dropped: float


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """A writer's pages: scores, what the executor did, and tokens before and after."""

    scores: list[PageScore]
    pages: Sequence[ExecutedPage]
    tokens: list[tuple[int, int]]

    def of(self, chosen: Sequence[int]) -> _Judged:
        """Some of the pages."""
        return _Judged(
            scores=[self.scores[index] for index in chosen],
            pages=[self.pages[index] for index in chosen],
            tokens=[self.tokens[index] for index in chosen],
        )

    @property
    def f1s(self) -> list[float]:
        return [score.words.f1 for score in self.scores]


def _figures(
    writer: str, source: str, own: _Judged, keeping: Sequence[float], reference: Sequence[float] | None
) -> WriterFigures:
    f1s, words = own.f1s, sum_counts([score.words for score in own.scores])
    programs = sum(page.programs for page in own.pages)
    return WriterFigures(
        writer=writer,
        source=source,
        pages=len(own.scores),
        word_f1=mean(f1s),
        word_f1_interval=bootstrap_interval(len(f1s), lambda drawn: mean([f1s[index] for index in drawn])),
        pooled_word_f1=words.f1,
        word_recall=mean([score.words.recall for score in own.scores]),
        word_precision=mean([score.words.precision for score in own.scores]),
        chunk_f1=sum_counts([score.removed for score in own.scores]).f1,
        share_removed=1 - _ratio(words.predicted, sum(score.page_words for score in own.scores)),
        tokens_kept=_ratio(sum(after for _, after in own.tokens), sum(before for before, _ in own.tokens)),
        failure_ratio=_ratio(sum(page.failed for page in own.pages), programs),
        refused_ratio=_ratio(sum(page.refused for page in own.pages), programs),
        calls_per_program=_ratio(sum(page.calls for page in own.pages), programs),
        over_keeping=paired_difference(f1s, keeping),
        over_reference=paired_difference(f1s, reference) if reference else None,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def compare_writers(
    pages: Sequence[LabelledPage],
    executed: Mapping[str, Sequence[ExecutedPage]],
    *,
    reference: str | None = None,
) -> list[WriterFigures]:
    """Figures of every writer on every source and on all pages.

    Args:
        pages: held-out pages.
        executed: for each writer, what its programs made of each page.
        reference: the writer that the others are compared with, besides keeping everything.
    """
    words = [PageWords(page.lines, [keep >= 0.5 for keep in page.keep]) for page in pages]
    before = _count_tokens([join_lines(list(page.lines)) for page in pages])

    def judge(results: Sequence[ExecutedPage]) -> _Judged:
        scores = [own.score(page.keep, page.text) for own, page in zip(words, results, strict=True)]
        after = _count_tokens([page.text for page in results])
        return _Judged(scores=scores, pages=results, tokens=list(zip(before, after, strict=True)))

    judged = {writer: judge(results) for writer, results in executed.items()}
    keeping = [own.score([True] * len(page.lines)).words.f1 for own, page in zip(words, pages, strict=True)]
    figures = []
    for source in [*sorted({page.source for page in pages}), ALL]:
        chosen = [index for index, page in enumerate(pages) if source in (ALL, page.source)]
        for writer, own in judged.items():
            other = judged[reference].of(chosen).f1s if reference and reference != writer else None
            figures.append(_figures(writer, source, own.of(chosen), [keeping[index] for index in chosen], other))
    return figures


def _count_tokens(texts: Sequence[str]) -> list[int]:
    encodings = load_tokenizer(EMBEDDED).encode_batch_fast(list(texts), add_special_tokens=False)
    return [len(encoding.ids) for encoding in encodings]


def document_figures(
    writer: str, gold: Sequence[bool], keep: Sequence[bool], scores: Sequence[float]
) -> DocumentFigures:
    """Figures of the document level.

    Args:
        gold: which documents people would keep.
        keep: which the writer keeps, by its programs and its policy.
        scores: higher for what it would rather keep: margins, or 1 and 0 of a writer without.
    """
    good = [kept for kept, label in zip(keep, gold, strict=True) if label]

    def f1_of(verdicts: Sequence[bool], drawn: Sequence[int]) -> float:
        return score_documents([gold[index] for index in drawn], [verdicts[index] for index in drawn]).f1

    everything, whole, count = [True] * len(gold), range(len(gold)), len(gold)
    f1, f1_keeping = f1_of(keep, whole), f1_of(everything, whole)
    low, high = bootstrap_interval(count, lambda drawn: f1_of(keep, drawn) - f1_of(everything, drawn))
    return DocumentFigures(
        writer=writer,
        documents=count,
        auc=auc(gold, scores),
        auc_interval=bootstrap_interval(
            count, lambda drawn: auc([gold[index] for index in drawn], [scores[index] for index in drawn])
        ),
        f1=f1,
        f1_interval=bootstrap_interval(count, lambda drawn: f1_of(keep, drawn)),
        f1_keep_everything=f1_keeping,
        over_keeping=(f1 - f1_keeping, low, high),
        dropped=1 - _ratio(sum(keep), count),
        good_dropped=1 - _ratio(sum(good), len(good)) if good else 0.0,
    )


def figures_table(figures: Sequence[WriterFigures]) -> str:
    """A Markdown table: one row for each source and writer."""
    rows = [
        "| source | pages | writer | word F1 (95% interval) | over keeping all | over the reference | pooled | recall "
        "| precision | chunk F1 | words removed | tokens kept | failed | calls |",
        "|---" * 14 + "|",
    ]
    for entry in figures:
        rows.append(
            f"| {entry.source} | {entry.pages} | {entry.writer} | {entry.word_f1:.3f} {_span(entry.word_f1_interval)} "
            f"| {_gap(entry.over_keeping)} | {_gap(entry.over_reference)} "
            f"| {entry.pooled_word_f1:.3f} | {entry.word_recall:.3f} | {entry.word_precision:.3f} "
            f"| {entry.chunk_f1:.3f} | {entry.share_removed:.1%} | {entry.tokens_kept:.1%} "
            f"| {entry.failure_ratio:.2%} | {entry.calls_per_program:.1f} |"
        )
    return "\n".join(rows)


def document_table(figures: Sequence[DocumentFigures]) -> str:
    """A Markdown table of the document level."""
    rows = [
        "| writer | documents | AUC (95% interval) | F1 (95% interval) | over keeping all | dropped | good dropped |",
        "|---" * 7 + "|",
    ]
    for entry in figures:
        rows.append(
            f"| {entry.writer} | {entry.documents} | {entry.auc:.3f} {_span(entry.auc_interval)} "
            f"| {entry.f1:.3f} {_span(entry.f1_interval)} | {_gap(entry.over_keeping)} "
            f"| {entry.dropped:.1%} | {entry.good_dropped:.1%} |"
        )
    return "\n".join(rows)


def _span(interval: tuple[float, float]) -> str:
    return f"({interval[0]:.3f}-{interval[1]:.3f})"


def _gap(difference: tuple[float, float, float] | None) -> str:
    return "" if difference is None else "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference)


def as_rows(figures: Sequence[WriterFigures] | Sequence[DocumentFigures]) -> list[dict[str, object]]:
    """Figures as JSON-ready mappings."""
    return [asdict(entry) for entry in figures]
