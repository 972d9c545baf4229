"""Maintain the tables: pack small files, delete files of old versions, purge programs that nobody will apply again."""

from __future__ import annotations

import argparse

from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.run_report import table
from spark_prox.spark.session import build_session
from spark_prox.stages.follow_sources import follow_sources, versions_needed
from spark_prox.warehouse.maintenance import SAFE_RETENTION_HOURS, Maintenance
from spark_prox.warehouse.schemas import TABLES
from spark_prox.warehouse.tables import Warehouse
from spark_prox.writers import writers_of

PARSER = job_parser(
    "maintain",
    "Pack small files of the tables, delete files of old versions, and purge superseded programs if asked to.",
    "spark-submit jobs/maintain.py --config conf/refine.yaml --purge-programs --dry-run",
    reads_input=False,
)
PARSER.add_argument("--tables", metavar="T[,T]", default=",".join(TABLES), help="which tables (default: all)")
PARSER.add_argument(
    "--retention-hours", type=int, metavar="H", default=SAFE_RETENTION_HOURS, help="how long old versions stay readable"
)
PARSER.add_argument("--short-retention", action="store_true", help="allow less than a week: nobody may be reading")
PARSER.add_argument(
    "--purge-programs", action="store_true", help="delete programs of documents that are gone and of other settings"
)
PARSER.add_argument(
    "--follow-sources",
    action="store_true",
    help="where texts were not copied, name the present version of their source, so that older ones may be vacuumed",
)
PARSER.add_argument("--dry-run", action="store_true", help="change nothing; show sizes and what would be purged")


def maintain(arguments: argparse.Namespace) -> None:
    """Takes the lease, unless it only looks."""
    config = config_from_arguments(arguments)
    keys = [writer.key() for writer in writers_of(config).values()] if arguments.purge_programs else []
    spark = build_session("spark_prox maintain", extra=config.spark)
    warehouse = Warehouse(spark, config.warehouse)
    work = Maintenance(spark, warehouse, arguments.tables.split(","))
    work.check_retention(arguments.retention_hours, short=arguments.short_retention)
    if not arguments.dry_run:
        warehouse.open_for_writing(config.lease, "spark_prox maintain")
    before = work.sizes()
    if arguments.purge_programs:
        found = [list(row) for row in work.superseded(keys).collect()]
        print(table(["stage", "model", "revision", "superseded because", "programs"], found), end="\n\n")
        if not arguments.dry_run:
            work.purge_programs(keys)
    if arguments.follow_sources:
        if not arguments.dry_run:
            follow_sources(warehouse)
        needed = [list(row) for row in versions_needed(warehouse)]
        print(table(["source of texts", "version", "documents that need it"], needed), end="\n\n")
    if not arguments.dry_run:
        work.optimize()
        work.vacuum(arguments.retention_hours, short=arguments.short_retention)
    after = work.sizes()
    rows = [[name, *before[name], *after[name]] for name in before]
    print(table(["table", "files", "bytes", "stored", "files after", "bytes after", "stored after"], rows))


if __name__ == "__main__":
    run_job(PARSER, maintain)
