"""One comparison from paths to files: held-out hosts, every author, both stages; JSON, a table, a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.refiners.authors import CLASSIFIER, REFINER, classifier_for, model_margins, read_verdicts
from spark_prox.refiners.document_labels import load_labelled_documents
from spark_prox.refiners.evaluation import (
    ALL,
    AuthorFigures,
    DocumentFigures,
    as_rows,
    compare_authors,
    document_figures,
    document_table,
    figures_table,
)
from spark_prox.refiners.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.refiners.pictures import draw_recall_curves
from spark_prox.refiners.reading import open_reader
from spark_prox.refiners.thresholds import MARGINS, MarginPoint, margin_curve, rule_points

__all__ = ["Comparison", "compare_on_held_out_hosts", "write_comparison"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures of all authors, the margins that the refiner was held to, and what the picture shows."""

    chunk: list[AuthorFigures]
    document: list[DocumentFigures]
    min_remove_margin: float
    min_drop_margin: float
    curves: dict[str, list[MarginPoint]]
    points: dict[str, MarginPoint]


def _some(pages: Sequence[LabelledPage], most: int) -> list[LabelledPage]:
    """At most so many pages, evenly spaced; all of them for 0."""
    return list(pages[:: -(-len(pages) // most)]) if most and len(pages) > most else list(pages)


def compare_on_held_out_hosts(
    model: str,
    *,
    labelled: Sequence[str],
    extra: Sequence[str],
    extra_pages: int,
    documents: str | None,
    classifier: str | Path,
    threads: int,
    say: Callable[[str], None],
) -> Comparison:
    """Let every author judge the test split of the labelled pages, and extra pages no part of which was trained on.

    Args:
        model: folder of an embedded refiner, or "embedded".
        extra_pages: at most so many of the extra pages, evenly spaced; 0 for all.
        documents: file of documents with a human label, for the document stage.
        classifier: file of a line classifier of this project; trained on the training split if absent.
    """
    others = load_labelled_pages(extra)
    pages = [p for p in load_labelled_pages(labelled) if p.source not in {page.source for page in others}]
    test, others = pages_of_split(pages, "test"), _some(others, extra_pages)
    reader = open_reader(model, threads=threads)
    remove_margin, drop_margin = model_margins(model)
    verdicts = read_verdicts(
        [*test, *others],
        pages_of_split(pages, "validation"),
        reader=reader,
        min_remove_margin=remove_margin,
        classifier=classifier_for(classifier, pages_of_split(pages, "train"), say),
        say=say,
    )
    document: list[DocumentFigures] = []
    if documents:
        texts, gold = load_labelled_documents(documents)
        say(f"{REFINER}: {len(texts)} documents at min_drop_margin {drop_margin:g}")
        margins = reader.document_margins(texts)
        document.append(document_figures(REFINER, gold, margins, min_drop_margin=drop_margin))
    of_test = {author: flags[: len(test)] for author, flags in verdicts.keep.items()}
    of_others = {author: flags[len(test) :] for author, flags in verdicts.keep.items()}
    return Comparison(
        chunk=compare_authors(test, of_test, reference=CLASSIFIER)
        + [entry for entry in compare_authors(others, of_others, reference=CLASSIFIER) if entry.source != ALL],
        document=document,
        min_remove_margin=remove_margin,
        min_drop_margin=drop_margin,
        curves={
            author: margin_curve(test, margins[: len(test)], MARGINS[::2])
            for author, margins in verdicts.margins.items()
        },
        points=rule_points(test, of_test, verdicts.margins),
    )


def write_comparison(comparison: Comparison, folder: str | Path) -> str:
    """Write figures.json, table.md and recall.png; gives the table."""
    folder = Path(folder)
    table = figures_table(comparison.chunk)
    if comparison.document:
        table += "\n\n" + document_table(comparison.document)
    report = {
        "min_remove_margin": comparison.min_remove_margin,
        "min_drop_margin": comparison.min_drop_margin,
        "chunk": as_rows(comparison.chunk),
        "document": as_rows(comparison.document),
    }
    (folder / "figures.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(table + "\n", encoding="utf-8")
    draw_recall_curves(comparison.curves, comparison.points, folder / "recall.png")
    return table
