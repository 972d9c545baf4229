"""Compare authors of programs on pages of hosts that training never saw: refiner, rules and line classifier."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spark_prox.jobkit import run_job
from spark_prox.refiners.authors import CLASSIFIER, REFINER, classifier_for, model_margins, read_verdicts
from spark_prox.refiners.document_labels import load_labelled_documents
from spark_prox.refiners.evaluation import as_rows, compare_authors, document_figures, document_table, figures_table
from spark_prox.refiners.labels import load_labelled_pages, pages_of_split
from spark_prox.refiners.model_card import write_figures
from spark_prox.refiners.pictures import draw_recall_curves
from spark_prox.refiners.reading import open_reader
from spark_prox.refiners.thresholds import rule_points

PARSER = argparse.ArgumentParser(
    prog="evaluate.py",
    description=__doc__,
    epilog="Example:\n  spark-submit jobs/evaluate.py --labelled ../shared/data/gold_lines --output figures",
    formatter_class=argparse.RawDescriptionHelpFormatter,
)
PARSER.add_argument("--model", default="embedded", help="folder of an embedded refiner (default: the shipped one)")
PARSER.add_argument("--labelled", nargs="+", required=True, metavar="PATH", help="line-labelled pages")
PARSER.add_argument(
    "--extra", nargs="*", default=[], metavar="PATH", help="labelled pages no part of which was trained on"
)
PARSER.add_argument("--documents", metavar="FILE", help="documents with a human label: {id, text, keep}")
PARSER.add_argument("--output", required=True, metavar="FOLDER", help="for figures.json, table.md, recall.png")
PARSER.add_argument("--classifier", metavar="FILE", help="line classifier of jobs/train.py; trained if it is not there")
PARSER.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
PARSER.add_argument("--card", metavar="FILE", help="model card to write the table into")
PARSER.add_argument("--debug", action="store_true", help="show a stack trace on an error")


def evaluate(arguments: argparse.Namespace) -> None:
    """Read verdicts, compare, write JSON, a table and a picture."""
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    extra = load_labelled_pages(arguments.extra)
    labelled = [p for p in load_labelled_pages(arguments.labelled) if p.source not in {e.source for e in extra}]
    pages = [*pages_of_split(labelled, "test"), *extra]
    reader = open_reader(arguments.model, threads=arguments.threads)
    remove_margin, drop_margin = model_margins(arguments.model)
    trained = pages_of_split(labelled, "train")
    classifier = classifier_for(arguments.classifier or output / "line_classifier.pkl", trained, print)
    verdicts = read_verdicts(
        pages, pages_of_split(labelled, "validation"),
        reader=reader, min_remove_margin=remove_margin, classifier=classifier, say=print,
    )  # fmt: skip
    figures = compare_authors(pages, verdicts.keep, reference=CLASSIFIER)
    table, report = figures_table(figures), {"min_remove_margin": remove_margin, "chunk": as_rows(figures)}
    if arguments.documents:
        texts, gold = load_labelled_documents(arguments.documents)
        documents = document_figures(REFINER, gold, reader.document_margins(texts), min_drop_margin=drop_margin)
        table += "\n\n" + document_table([documents])
        report |= {"min_drop_margin": drop_margin, "document": as_rows([documents])}
    (output / "figures.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (output / "table.md").write_text(table + "\n", encoding="utf-8")
    draw_recall_curves(verdicts.curves, rule_points(pages, verdicts.keep, verdicts.curves), output / "recall.png")
    if arguments.card:
        write_figures(arguments.card, table)
    print(table)


if __name__ == "__main__":
    run_job(PARSER, evaluate)
