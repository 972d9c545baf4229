"""Refine a corpus: ingest, generate both stages' programs, execute them, report."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import config_from_arguments, job_parser, require_input, run_job
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import example_report, outcome_report, query_report, tables_report
from spark_prox.stages.keys import STAGES
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "refine",
    "Refine a corpus: ingest it, let the refining models write programs, execute them, store everything in Delta.",
    "spark-submit jobs/refine.py --config conf/local.yaml --input pages.jsonl.gz --input-format jsonl --warehouse out",
    reads_input=True,
)


def refine(arguments: argparse.Namespace) -> None:
    """All stages in order; what is stored already is not done again."""
    pipeline = Pipeline(require_input(config_from_arguments(arguments)), FUNCTIONS, name="spark_prox refine")
    pipeline.check_executors()
    pipeline.ingest()
    for stage in STAGES:
        pipeline.generate(stage)
    pipeline.execute()
    print()
    if pipeline.config.show_example and (example := example_report(pipeline.warehouse, pipeline.settings)):
        print(example, end="\n\n")
    print(outcome_report(pipeline.warehouse, pipeline.settings), end="\n\n")
    if pipeline.config.show_example:
        print(query_report(pipeline.spark, pipeline.warehouse), end="\n\n")
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, refine)
