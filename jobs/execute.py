"""Execute only: apply the stored programs, for example under another policy. Needs no model and no GPU."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import outcome_report, tables_report
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "execute",
    "Apply the stored programs to their documents and bring the table refined up to date.",
    "spark-submit jobs/execute.py --config conf/local.yaml --warehouse out --set policy.name=compat",
    reads_input=False,
)


def execute(arguments: argparse.Namespace) -> None:
    """Rows whose settings differ are replaced; the others are left alone."""
    pipeline = Pipeline(config_from_arguments(arguments), FUNCTIONS, name="spark_prox execute")
    pipeline.execute()
    print(outcome_report(pipeline.warehouse, pipeline.settings), end="\n\n")
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, execute)
