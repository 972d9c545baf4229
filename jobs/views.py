"""Account for a warehouse as ProX does: views of tokens by step, of programs, of the cost, and what they say."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.run_report import table
from spark_prox.spark.session import build_session
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.views import create_views, shell_command, write_views_file

PARSER = job_parser(
    "views",
    "Create the views v_token_flow, v_programs and v_cost in a catalog, or write them into views.sql, and show them.",
    "spark-submit jobs/views.py --warehouse out\n"
    "  spark-sql --properties-file conf/spark-local.conf -i out/views.sql -e 'SELECT * FROM v_cost'",
    reads_input=False,
)
PARSER.add_argument("--rows", type=int, default=40, metavar="N", help="most rows to show of each (default: 40)")


def views(arguments: argparse.Namespace) -> None:
    """May be repeated; changes no table."""
    config = config_from_arguments(arguments)
    spark = build_session("spark_prox views", extra=config.spark)
    warehouse = Warehouse(spark, config.warehouse)
    warehouse.read("documents")  # says so where there is no warehouse
    place = write_views_file(spark, warehouse)
    for name in create_views(spark, warehouse):
        rows = spark.table(name).orderBy(*range(1, 4)).limit(arguments.rows)
        print(f"{name}\n{table(rows.columns, [list(row) for row in rows.collect()])}", end="\n\n")
    if place:
        print(f"The views are in {place}:\n{shell_command(place)}")


if __name__ == "__main__":
    run_job(PARSER, views)
