"""Generate only: the missing programs of one stage or of both, for the documents that are there."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import add_retry, config_from_arguments, job_parser, run_job
from spark_prox.keys import STAGES
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import tables_report
from spark_prox.stages.retry import parse_codes
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "generate",
    "Let the refining models write programs for the documents that have none under the current settings.",
    "spark-submit --properties-file conf/spark-standalone-gpu.conf jobs/generate.py --config conf/refine.yaml",
    reads_input=False,
)
PARSER.add_argument("--stage", choices=("doc", "chunk", "both"), default="both", help="which stage (default: both)")
add_retry(PARSER)


def generate(arguments: argparse.Namespace) -> None:
    """Programs are stored in portions; a killed run goes on where it stopped."""
    codes = parse_codes(arguments.retry) if arguments.retry is not None else ()
    pipeline = Pipeline(config_from_arguments(arguments), FUNCTIONS, name="spark_prox generate")
    pipeline.check_executors()
    for stage in STAGES:
        if arguments.stage not in (stage, "both"):
            continue
        if codes:
            print(f"{stage}: {pipeline.retry(stage, codes):,} documents were asked about again.")
        else:
            pipeline.generate(stage)
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, generate)
