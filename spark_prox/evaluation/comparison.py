"""Run one comparison from paths to files: held-out hosts, every writer, one executor; JSON, a table, a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_prox.annotation.document_labels import load_labelled_documents
from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, pages_of_split
from spark_prox.evaluation.entries import (
    CLASSIFIER,
    Entry,
    classifier_entry,
    model_entry,
    rule_entries,
    stored_classifier,
)
from spark_prox.evaluation.executed import ExecutedPage, decide_documents, execute_pages
from spark_prox.evaluation.scores import (
    ALL,
    DocumentFigures,
    WriterFigures,
    as_rows,
    compare_writers,
    document_figures,
    document_table,
    figures_table,
)
from spark_prox.evaluation.thresholds import MARGINS, MarginPoint, margin_curve, rule_points
from spark_prox.generation import GeneratedProgram
from spark_prox.training.plots import draw_recall_curves

__all__ = ["Comparison", "compare_on_held_out_hosts", "write_comparison"]

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures of all writers, their policies, and the data of the plot.

    Attributes:
        policies: the fields of each writer's policy by which it differs from the default one, and its fingerprint.
    """

    chunk: list[WriterFigures]
    document: list[DocumentFigures]
    policies: dict[str, dict[str, object]]
    curves: dict[str, list[MarginPoint]]
    points: dict[str, MarginPoint]


def _some(pages: Sequence[LabelledPage], most: int) -> list[LabelledPage]:
    """At most so many pages, evenly spaced; all of them for 0."""
    return list(pages[:: -(-len(pages) // most)]) if most and len(pages) > most else list(pages)


def compare_on_held_out_hosts(
    models: Sequence[str],
    *,
    labelled: Sequence[str],
    extra: Sequence[str],
    extra_pages: int,
    documents: str | None,
    classifier: str | Path,
    threads: int,
    say: Say,
    template: str = "auto",
    most_pages: int = 0,
    settings: Sequence[str] = (),
    config: str | Path | None = None,
) -> Comparison:
    """Let every writer write programs for the test split of the labelled pages, and for pages never trained on.

    Args:
        models: folders of language models, or "embedded".
        extra_pages: at most so many of the extra pages, evenly spaced; 0 for all.
        documents: file of documents with a human label, for the document level.
        classifier: file of a line classifier of this project; trained on the training split if absent.
        template: of the models' prompts, see `model_entry`.
        most_pages: at most so many pages of the test split, evenly spaced; 0 for all.
        settings, config: of the runs of the models, see `model_entry`.
    """
    refiners = [
        model_entry(model, threads=threads, template=template, settings=settings, config=config) for model in models
    ]
    others = load_labelled_pages(extra)
    pages = [p for p in load_labelled_pages(labelled) if p.source not in {page.source for page in others}]
    test, others = _some(pages_of_split(pages, "test"), most_pages), _some(others, extra_pages)
    trained = stored_classifier(classifier, pages_of_split(pages, "train"), say)
    entries = [
        *rule_entries(),
        classifier_entry(trained, pages_of_split(pages, "validation"), say),
        *refiners,
    ]
    executed: dict[str, list[ExecutedPage]] = {}
    margins: dict[str, list[list[float]]] = {}
    judged = [page.lines for page in (*test, *others)]
    for entry in entries:
        if "chunk" in entry.levels:
            say(f"{entry.name}: {len(judged)} pages")
            rows = entry.rows(judged, "chunk")
            executed[entry.name] = execute_pages(judged, rows, entry.policy, dialect=entry.dialect)
            if any(row.line_margins is not None for row in rows):
                margins[entry.name] = _line_margins(test, rows)
    of_test = {writer: results[: len(test)] for writer, results in executed.items()}
    of_others = {writer: results[len(test) :] for writer, results in executed.items()}
    flags = {writer: [page.keep for page in results] for writer, results in of_test.items()}
    return Comparison(
        chunk=compare_writers(test, of_test, reference=CLASSIFIER)
        + [entry for entry in compare_writers(others, of_others, reference=CLASSIFIER) if entry.source != ALL],
        document=_compare_documents(entries, documents, say) if documents else [],
        policies={entry.name: _policy(entry) for entry in entries},
        curves={writer: margin_curve(test, own, MARGINS[::2]) for writer, own in margins.items()},
        points=rule_points(test, flags, margins),
    )


def _compare_documents(entries: Sequence[Entry], path: str, say: Say) -> list[DocumentFigures]:
    texts, gold = load_labelled_documents(path)
    figures = []
    for entry in entries:
        if "doc" in entry.levels:
            say(f"{entry.name}: {len(texts)} documents")
            rows = entry.rows(texts, "doc")
            keep = decide_documents(len(texts), rows, entry.policy, dialect=entry.dialect)
            scores = [float(kept) for kept in keep]
            for row in rows:
                if row.margin is not None:
                    scores[int(row.doc_id)] = row.margin
            figures.append(document_figures(entry.name, gold, keep, scores))
    return figures


def _line_margins(pages: Sequence[LabelledPage], rows: Sequence[GeneratedProgram]) -> list[list[float]]:
    """A margin for each line of the pages; +inf (keep) where there is no answer."""
    margins = [[math.inf] * len(page.lines) for page in pages]
    for row in rows:
        if row.line_margins is not None and int(row.doc_id) < len(pages):
            margins[int(row.doc_id)][row.first_line : row.first_line + row.line_count] = row.line_margins
    return margins


def _policy(entry: Entry) -> dict[str, object]:
    return {
        "fingerprint": entry.policy.fingerprint(),
        "min_remove_margin": entry.policy.min_remove_margin,
        "min_drop_margin": entry.policy.min_drop_margin,
    }


def write_comparison(comparison: Comparison, folder: str | Path) -> str:
    """Write figures.json, table.md and recall.png; gives the table."""
    folder = Path(folder)
    table = figures_table(comparison.chunk)
    if comparison.document:
        table += "\n\n" + document_table(comparison.document)
    report = {
        "policies": comparison.policies,
        "chunk": as_rows(comparison.chunk),
        "document": as_rows(comparison.document),
    }
    (folder / "figures.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(table + "\n", encoding="utf-8")
    draw_recall_curves(comparison.curves, comparison.points, folder / "recall.png")
    return table
