"""Refine a corpus: ingest, generate both levels' programs, execute them, report."""

from __future__ import annotations

import argparse

from spark_prox.config.run import RunConfig
from spark_prox.errors import ConfigError
from spark_prox.jobkit import add_retry, config_from_arguments, job_parser, require_input, run_job
from spark_prox.pipeline import Pipeline
from spark_prox.report.run_report import (
    balance_report,
    example_report,
    outcome_report,
    plan_report,
    query_report,
    tables_report,
)
from spark_prox.spark.session import build_session
from spark_prox.stages.rerun import RecordedRun, differences, origins_now, recorded_run
from spark_prox.stages.retry import parse_codes
from spark_prox.terminal import shown
from spark_prox.warehouse.tables import Warehouse
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
PARSER.add_argument(
    "--rerun", metavar="RUN_ID", help="do a run of --warehouse again, by its row of runs, into the warehouse of --into"
)
PARSER.add_argument("--into", metavar="W2", help="another warehouse, for --rerun")


def refine(arguments: argparse.Namespace) -> None:
    """All stages in order; what is stored already is not done again."""
    codes = parse_codes(arguments.retry) if arguments.retry is not None else ()
    recorded, config = recorded_and_config(arguments)
    if not codes:
        require_input(config)
    pipeline = Pipeline(config, FUNCTIONS, name="spark_prox refine", writes=not arguments.dry_run)
    if recorded is not None:
        found = differences(recorded.origins, origins_now(pipeline.run))
        print(
            f"Rerun of {recorded.run_id}: {'these differ' if found else 'code, models, policy and input are the same'}"
        )
        print("".join(f"  differs  {shown(line, 300)}\n" for line in found), end="", flush=True)
    if arguments.dry_run:
        print(plan_report(pipeline.plan(codes)))
        return
    pipeline.check_executors()
    if codes:
        print(f"{pipeline.retry(codes):,} documents were asked about again.")
    elif config.input is not None and config.input.incremental:
        print(f"{pipeline.refine_new() or 'No'} micro-batches: all that was new in {config.input.path}.")
    else:
        pipeline.refine()
    print()
    if config.show_example and (example := example_report(pipeline.warehouse, pipeline.settings)):
        print(example, end="\n\n")
    print(outcome_report(pipeline.warehouse, pipeline.settings), end="\n\n")
    if balance := balance_report(pipeline.log.balance):
        print(balance, end="\n\n")
    if config.show_example:
        print(query_report(pipeline.spark, pipeline.warehouse), end="\n\n")
    print(tables_report(pipeline.warehouse))


def recorded_and_config(arguments: argparse.Namespace) -> tuple[RecordedRun | None, RunConfig]:
    """The configuration of the command line; for a rerun the run that is done again, and its configuration."""
    if arguments.rerun is None:
        if arguments.into is not None:
            raise ConfigError("USAGE", "--into goes with --rerun.", "See refine.py --help.")
        return None, config_from_arguments(arguments)
    if arguments.into is None or arguments.retry is not None or arguments.incremental:
        raise ConfigError(
            "USAGE",
            "--rerun needs --into, and goes neither with --retry nor with --incremental.",
            "Example: refine.py --rerun RUN_ID --warehouse out --into again",
        )
    own = config_from_arguments(arguments)
    warehouse = Warehouse(build_session("spark_prox refine", extra=own.spark), own.warehouse)
    other = Warehouse(build_session("spark_prox refine", extra=own.spark), arguments.into)
    if other.location == warehouse.location:
        raise ConfigError(
            "RERUN_SAME_WAREHOUSE",
            f"--into names the warehouse of the run, {warehouse.location!r}, where everything is done already.",
            "Name another one; `--dry-run` shows what a run there would do.",
        )
    recorded = recorded_run(warehouse, arguments.rerun)
    given = {"input.path": arguments.input, "input.format": arguments.input_format}
    named = {key: value for key, value in given.items() if value is not None}
    return recorded, recorded.config(arguments.into, arguments.overrides, named)


if __name__ == "__main__":
    run_job(PARSER, refine)
