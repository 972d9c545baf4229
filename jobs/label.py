"""Label lines of sampled documents in the terminal: how precise is a run on a corpus of one's own?"""

from __future__ import annotations

import argparse
import sys

from spark_prox.annotation.label_files import LabelFile
from spark_prox.annotation.label_screen import label_screen
from spark_prox.annotation.label_session import SampledDocument, label_documents, pending
from spark_prox.annotation.label_terminal import Screen
from spark_prox.annotation.labelling import LineMarks
from spark_prox.evaluation.removals import removal_figures, removal_table
from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.history import matching_ids
from spark_prox.report.label_sample import sampled_documents
from spark_prox.spark.session import build_session
from spark_prox.terminal import paint_for
from spark_prox.warehouse.tables import Warehouse

PARSER = job_parser(
    "label",
    "Mark lines of sampled documents keep, remove or wrong, and learn the precision of a run's removals. Labels are "
    "stored after each document, in the layout that train.py, evaluate.py and annotate.py --from-labels read.",
    "spark-submit jobs/label.py --warehouse out --limit 30 --output my-pages.jsonl",
    reads_input=False,
)
PARSER.add_argument("--output", metavar="FILE", required=True, help="labels, .jsonl or .jsonl.gz; what is there stays")
PARSER.add_argument("--sample", metavar="SQL", default="true", help="of which rows of refined (default: all)")
PARSER.add_argument("--limit", type=int, default=50, metavar="N", help="documents of the sample (default: %(default)s)")
PARSER.add_argument("--seed", type=int, default=0, metavar="N", help="another number gives another sample")
PARSER.add_argument("--blind", action="store_true", help="hide what the run decided; every line needs a mark then")
PARSER.add_argument("--figures-only", action="store_true", help="ask nothing; compare the stored labels with the run")


def label(arguments: argparse.Namespace) -> None:
    """The sample is the same for the same seed, so that a person goes on where they stopped."""
    config, labels = config_from_arguments(arguments), LabelFile(arguments.output)
    screen = None if arguments.figures_only else Screen()
    spark = build_session("spark_prox label", extra=config.spark)
    warehouse = Warehouse(spark, config.warehouse)
    ids = matching_ids(warehouse, arguments.sample, limit=arguments.limit, seed=arguments.seed)
    documents = sampled_documents(warehouse, [*ids, *labels.pages])
    asked = [document for document in documents if document.doc_id in set(ids)]
    if screen is not None:
        done = ask(screen, asked, labels, hides=arguments.blind)
        print(f"{done:,} documents labelled, {len(pending(asked, labels)):,} of the sample are left.")
    print(f"Labels of {len(labels.pages):,} documents are in {labels.path}.")
    decided = {document.doc_id: document.removed for document in documents}
    figures = removal_figures(list(labels.pages.values()), decided)
    print("No label is of a document of this warehouse." if figures is None else removal_table(figures))


def ask(screen: Screen, documents: list[SampledDocument], labels: LabelFile, *, hides: bool) -> int:
    """Ask about documents on a terminal; gives how many were labelled."""
    paint = paint_for(sys.stdout)

    def draw(state: LineMarks, document: SampledDocument, title: str) -> None:
        rows, columns = screen.size
        screen.draw(label_screen(state, document.lines, title=title, rows=rows, columns=columns, paint=paint))

    with screen:
        return label_documents(documents, labels, screen.keys(), draw, hides=hides)


if __name__ == "__main__":
    run_job(PARSER, label)
