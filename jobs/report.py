"""Report: one self-contained HTML page about what a run did, with a browser of sampled documents."""

from __future__ import annotations

import argparse
from pathlib import Path

from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.collect import ReportOptions, collect_report
from spark_prox.report.page.render import render_report
from spark_prox.spark.session import build_session
from spark_prox.spark.shipping import ship_code
from spark_prox.warehouse.tables import Warehouse
from udfs.functions import FUNCTIONS

PARSER = job_parser(
    "report",
    "Write one HTML page about a warehouse: token flow, shares, removed lines, speed, and sampled documents line by "
    "line.",
    "spark-submit jobs/report.py --warehouse out --out report.html --against default,min_remove_margin=2",
    reads_input=False,
)
PARSER.add_argument("--out", metavar="FILE", type=Path, default=Path("report.html"), help="the page (report.html)")
PARSER.add_argument("--title", metavar="T", default="spark_prox report", help="the page's title")
PARSER.add_argument("--documents", metavar="N", type=int, default=200, help="documents to show one by one (200)")
PARSER.add_argument("--sample", metavar="N", type=int, default=500, help="documents to try thresholds on (500)")
PARSER.add_argument("--seed", metavar="S", type=int, default=0, help="decides which documents are chosen (0)")
PARSER.add_argument("--settings", metavar="HASH", help="report on rows of these settings (default: the latest)")
PARSER.add_argument(
    "--against",
    metavar="RUN|POLICY",
    help="compare with an earlier run's id, a policy (compat), or changed fields (min_remove_margin=2)",
)
PARSER.add_argument(
    "--labels", metavar="PATH", type=Path, action="append", default=[], help="line labels, for precision and recall"
)
PARSER.add_argument("--price-per-hour", metavar="P", type=float, help="of the whole cluster, to show what a run cost")


def report(arguments: argparse.Namespace) -> None:
    """Reads the tables only; takes no lease."""
    config = config_from_arguments(arguments)
    spark = build_session("spark_prox report", extra=config.spark)
    ship_code(spark)
    warehouse = Warehouse(spark, config.warehouse)
    options = ReportOptions(
        title=arguments.title,
        settings=arguments.settings,
        documents=max(0, arguments.documents),
        sample=max(1, arguments.sample),
        seed=arguments.seed,
        against=arguments.against,
        labels=tuple(arguments.labels),
        price_per_hour=arguments.price_per_hour,
        functions=FUNCTIONS,
    )
    data, applied = collect_report(spark, warehouse, options)
    page = render_report(data, {str(level): key for level, key in applied.keys.items()})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(page, encoding="utf-8")
    print(f"{arguments.out}: {len(page.encode()) / 1e6:.1f} MB, {len(data.documents)} documents")


if __name__ == "__main__":
    run_job(PARSER, report)
