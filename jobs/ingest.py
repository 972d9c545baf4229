"""Ingest only: read an input into the tables `documents` and `rejects`."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import config_from_arguments, job_parser, require_input, run_job
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import tables_report
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "ingest",
    "Read an input into the tables documents and rejects.",
    "spark-submit jobs/ingest.py --input 'crawl/*.warc.gz' --input-format warc --warehouse out",
    reads_input=True,
)


def ingest(arguments: argparse.Namespace) -> None:
    """Documents that are there already with the same text are left alone."""
    pipeline = Pipeline(require_input(config_from_arguments(arguments)), FUNCTIONS, name="spark_prox ingest")
    pipeline.ingest()
    print(tables_report(pipeline.warehouse))


if __name__ == "__main__":
    run_job(PARSER, ingest)
