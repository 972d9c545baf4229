"""Annotate: documents become labelled examples, asked of a large model or taken from people's line labels."""

from __future__ import annotations

import argparse
from dataclasses import replace

from spark_prox.annotation.examples import labels_of_people, labels_revision, write_examples
from spark_prox.documents import LEVELS
from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.models import pinned_path
from spark_prox.pipeline import Pipeline
from spark_prox.report.annotation_report import annotation_report
from spark_prox.stages.annotate import Annotate, examples_in
from spark_prox.stages.base import Stage
from spark_prox.stages.ingest import Ingest
from spark_prox.stages.labels import store_labels
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "annotate",
    "Let a large model label documents for both levels, check its answers, and export examples to train a refiner on.",
    "spark-submit jobs/annotate.py --config conf/annotate.yaml --warehouse out --export examples.jsonl.gz",
    reads_input=True,
)
PARSER.add_argument("--stage", choices=("doc", "chunk", "both"), default="both", help="which level (default: both)")
PARSER.add_argument("--from-labels", nargs="+", metavar="PATH", help="line-labelled pages instead of a model")
PARSER.add_argument("--export", metavar="FILE", help="write the usable labels as JSON lines, .gz if the name says so")


def annotate_documents(arguments: argparse.Namespace) -> None:
    """Answers are stored in batches; a killed run goes on where it stopped."""
    config, labels = config_from_arguments(arguments), arguments.from_labels
    stages: list[Stage] = [Ingest()] if config.input is not None else []
    if not labels:
        stages += [Annotate(level) for level in LEVELS if arguments.stage in (level, "both")]
    off = replace(config, doc=replace(config.doc, enabled=False), chunk=replace(config.chunk, enabled=False))
    pipeline = Pipeline(off, FUNCTIONS, name="spark_prox annotate", stages=stages)  # no refiner takes part
    pipeline.check_executors()
    pipeline.refine()
    if labels:
        pages = labels_of_people(labels, config.annotate, pinned_path(config.model.path))
        with pipeline.phase():
            store_labels(pipeline.run, pages, revision=labels_revision(labels))
    warehouse = pipeline.warehouse
    print(annotation_report(warehouse))
    if arguments.export:
        print(f"{write_examples(examples_in(warehouse), arguments.export):,} examples in {arguments.export}")


if __name__ == "__main__":
    run_job(PARSER, annotate_documents)
