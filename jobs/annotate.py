"""Annotate: documents become labelled examples, asked of a large model or taken from people's line labels."""

from __future__ import annotations

import argparse
from dataclasses import replace

from spark_prox.annotation.examples import labels_of_people, labels_revision, write_examples
from spark_prox.annotation.questions import load_prompt
from spark_prox.documents import LEVELS
from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.pipeline import Pipeline
from spark_prox.report.annotation_report import annotation_report
from spark_prox.stages.annotate import annotate, asking, examples_in, judge_again, store_labels
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "annotate",
    "Let a large model label documents for both stages, check its answers, and export examples to train a refiner on.",
    "spark-submit jobs/annotate.py --config conf/annotate.yaml --warehouse out --export examples.jsonl.gz",
    reads_input=True,
)
PARSER.add_argument("--stage", choices=("doc", "chunk", "both"), default="both", help="which stage (default: both)")
PARSER.add_argument("--from-labels", nargs="+", metavar="PATH", help="line-labelled pages instead of a model")
PARSER.add_argument("--export", metavar="FILE", help="write the usable labels as JSON lines, .gz if the name says so")


def annotate_documents(arguments: argparse.Namespace) -> None:
    """Answers are stored in portions; a killed run goes on where it stopped."""
    config = config_from_arguments(arguments)
    settings, model, labels = config.annotate, config.model, arguments.from_labels
    prompts = {"doc": settings.doc_prompt, "chunk": settings.chunk_prompt}
    stages = [stage for stage in LEVELS if arguments.stage in (stage, "both") and not labels]
    asked = [asking(load_prompt(prompts[stage], stage), model, settings) for stage in stages]
    off = replace(config, doc=replace(config.doc, enabled=False), chunk=replace(config.chunk, enabled=False))
    pipeline = Pipeline(off, FUNCTIONS, name="spark_prox annotate")  # no refiner takes part
    pipeline.check_executors()
    pipeline.begin()
    spark, warehouse, log = pipeline.spark, pipeline.warehouse, pipeline.log
    if config.input is not None:
        pipeline.ingest()
    if labels:
        pages, budget = labels_of_people(labels, settings, model.path), settings.max_chunk_tokens
        store_labels(spark, warehouse, log, pages, revision=labels_revision(labels), max_chunk_tokens=budget)
    for one in asked:
        judge, ask = FUNCTIONS.judge_answers(spec=one.spec), FUNCTIONS.annotate_documents(model=model, spec=one.spec)
        judge_again(warehouse, log, asked=one, judge_answers=judge, columns=FUNCTIONS.judgement_columns)
        annotate(
            *(spark, warehouse, log),
            asked=one,
            annotate_documents=ask,
            columns=FUNCTIONS.annotation_columns,
            max_documents=settings.max_documents,
            placement=config.placement,
        )
    print(annotation_report(warehouse))
    if arguments.export:
        print(f"{write_examples(examples_in(warehouse), arguments.export):,} examples in {arguments.export}")


if __name__ == "__main__":
    run_job(PARSER, annotate_documents)
