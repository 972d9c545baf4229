"""Show documents: their versions, programs, edits in colour, why they were kept or dropped, and what they come from."""

from __future__ import annotations

import argparse
import sys

from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.history import histories, ids_of, matching_ids
from spark_prox.report.history_report import history_report
from spark_prox.report.other_policy import other_policy
from spark_prox.spark.session import build_session
from spark_prox.terminal import paint_for
from spark_prox.warehouse.tables import Warehouse

PARSER = job_parser(
    "show",
    "Show the whole history of documents: versions, programs, edits, decisions, lineage, and what another policy does.",
    "spark-submit jobs/show.py --warehouse out --sample \"outcome = 'EDITED'\" --limit 3 --policy compat",
    reads_input=False,
)
CHOICE = PARSER.add_mutually_exclusive_group(required=True)
CHOICE.add_argument("--doc-id", metavar="ID", action="append", help="a document by its id; may be repeated")
CHOICE.add_argument("--url", metavar="URL", help="documents by their URL")
CHOICE.add_argument("--sample", metavar="SQL", help="a random sample of the rows of refined for which this holds")
PARSER.add_argument(
    "--limit", type=int, default=5, metavar="N", help="most documents of a sample (default: %(default)s)"
)
PARSER.add_argument("--seed", type=int, default=0, metavar="N", help="another number gives another sample")
PARSER.add_argument(
    "--policy",
    metavar="NAME[,FIELD=VALUE]",
    action="append",
    default=[],
    help="also show what this policy would do with the stored programs; may be repeated",
)
PARSER.add_argument(
    "--no-versions",
    action="store_true",
    help="do not read the change feeds of the tables, which are long in old tables",
)


def show(arguments: argparse.Namespace) -> None:
    """Reads only; needs no model and no lease."""
    config = config_from_arguments(arguments)
    spark = build_session("spark_prox show", extra=config.spark)
    warehouse = Warehouse(spark, config.warehouse)
    if arguments.sample is not None:
        ids = matching_ids(warehouse, arguments.sample, limit=arguments.limit, seed=arguments.seed)
    else:
        ids = arguments.doc_id or ids_of(warehouse, url=arguments.url)
    with_versions = not arguments.no_versions and arguments.sample is None
    paint = paint_for(sys.stdout)
    for number, history in enumerate(histories(spark, warehouse, ids, with_changes=with_versions)):
        others = [other_policy(asked, history.run, config) for asked in arguments.policy]
        print(("\n" if number else "") + history_report(history, paint=paint, what_if=others))
    if not ids:
        print("No row of refined is like that.")


if __name__ == "__main__":
    run_job(PARSER, show)
