"""Refine a corpus: ingest, generate both stages' programs, execute them, report."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import add_retry, config_from_arguments, job_parser, require_input, run_job
from spark_prox.keys import STAGES
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import example_report, outcome_report, plan_report, query_report, tables_report
from spark_prox.stages.retry import parse_codes
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "refine",
    "Refine a corpus: ingest it, let the refining models write programs, execute them, store everything in Delta.",
    "spark-submit jobs/refine.py --config conf/local.yaml --input pages.jsonl.gz --input-format jsonl --warehouse out",
    reads_input=True,
)
PARSER.add_argument(
    "--incremental", action="store_true", default=None, help="only what is new in a Delta input since the last run"
)
add_retry(PARSER)
PARSER.add_argument("--dry-run", action="store_true", help="write nothing; say what the run would do and cost")


def refine(arguments: argparse.Namespace) -> None:
    """All stages in order; what is stored already is not done again."""
    codes = parse_codes(arguments.retry) if arguments.retry is not None else ()
    config = config_from_arguments(arguments)
    if not codes:
        require_input(config)
    pipeline = Pipeline(config, FUNCTIONS, name="spark_prox refine", writes=not arguments.dry_run)
    if arguments.dry_run:
        plan = pipeline.dry_run(reads_input=not codes)
        print(plan_report(plan.retries(codes) if codes else plan.stages()))
        return
    pipeline.check_executors()
    if codes:
        print(f"{sum(pipeline.retry(stage, codes) for stage in STAGES):,} documents were asked about again.")
        pipeline.execute_retried()
    elif config.input is not None and config.input.incremental:
        print(f"{pipeline.refine_new() or 'No'} micro-batches: all that was new in {config.input.path}.")
    else:
        pipeline.ingest()
        pipeline.advance()
    print()
    if config.show_example and (example := example_report(pipeline.warehouse, pipeline.settings)):
        print(example, end="\n\n")
    print(outcome_report(pipeline.warehouse, pipeline.settings), end="\n\n")
    if config.show_example:
        print(query_report(pipeline.spark, pipeline.warehouse), end="\n\n")
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, refine)
