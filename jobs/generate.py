"""Generate only: the missing programs of one level or of both, for the documents that are there."""

from __future__ import annotations

import argparse

from spark_prox.documents import LEVELS
from spark_prox.jobkit import add_retry, config_from_arguments, job_parser, run_job
from spark_prox.pipeline import FILTERS, Pipeline
from spark_prox.report.run_report import balance_report, tables_report
from spark_prox.stages.generate import Generate
from spark_prox.stages.retry import parse_codes
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "generate",
    "Let the refining models write programs for the documents that have none under the current settings.",
    "spark-submit --properties-file conf/spark-standalone-gpu.conf jobs/generate.py --config conf/refine.yaml",
    reads_input=False,
)
PARSER.add_argument("--stage", choices=("doc", "chunk", "both"), default="both", help="which level (default: both)")
add_retry(PARSER)


def generate(arguments: argparse.Namespace) -> None:
    """Programs are stored in batches; a killed run goes on where it stopped."""
    codes = parse_codes(arguments.retry) if arguments.retry is not None else ()
    levels = [Generate(level) for level in LEVELS if arguments.stage in (level, "both")]
    stages = [*FILTERS, *levels]
    pipeline = Pipeline(config_from_arguments(arguments), FUNCTIONS, name="spark_prox generate", stages=stages)
    pipeline.check_executors()
    if not codes:
        pipeline.refine()
    for level in levels if codes else ():
        print(f"{level.level}: {pipeline.retry(codes, [level]):,} documents were asked about again.")
    if balance := balance_report(pipeline.log.balance):
        print(balance, end="\n\n")
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, generate)
