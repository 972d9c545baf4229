"""Export training data: a corpus of the warehouse as shuffled shards, with a manifest and a data set card."""

from __future__ import annotations

import argparse

from spark_prox.export.formats import FORMATS_OF_EXPORT
from spark_prox.export.push import check_push, push_folder
from spark_prox.jobkit import config_from_arguments, job_parser, run_job
from spark_prox.report.export_report import export_report
from spark_prox.spark.session import build_session
from spark_prox.spark.shipping import check_executors, is_local, ship_code
from spark_prox.stages.export import Export
from spark_prox.warehouse.tables import Warehouse
from udfs.export import EXPORT_FUNCTIONS

PARSER = job_parser(
    "export",
    "Write one of the four corpora of ProX as training data: shuffled shards, a manifest, a data set card.",
    "spark-submit jobs/export.py --warehouse out --from chunk --format parquet --to corpus/chunk\n"
    "  spark-submit jobs/export.py --config conf/export.yaml --warehouse out --from raw --to corpus/raw \\\n"
    "      --format datatrove --tokenizer /models/llama --set export.holdout=0.01 --set 'export.mixture={forum: 0.5}'",
    reads_input=False,
)
PARSER.add_argument(
    "--from",
    dest="corpus",
    choices=("raw", "rules", "doc", "chunk"),
    help="raw documents, those that rules keep, those that the document level keeps, or refined text (default: chunk)",
)
PARSER.add_argument("--to", metavar="FOLDER", help="directory or URI of the data set; new, or an export to go on with")
PARSER.add_argument("--format", choices=FORMATS_OF_EXPORT, help="of the shards (default: parquet)")
PARSER.add_argument("--tokenizer", metavar="PATH", help="model directory or tokenizer.json, for formats of tokens")
PARSER.add_argument("--eos", metavar="TOKEN", help="the token that ends a document (default: the tokenizer's own)")
PARSER.add_argument("--seed", type=int, metavar="N", help="of order, split and mixture (default: 0)")
PARSER.add_argument("--shards", type=int, metavar="N", help="shards of the training split (default: by size)")
PARSER.add_argument(
    "--holdout", type=float, metavar="SHARE", help="share of hosts for the split validation (default: 0)"
)
PARSER.add_argument("--push-to", metavar="OWNER/NAME", help="upload to this data set of a hub at the end (HF_ENDPOINT)")
PARSER.add_argument("--overwrite", action="store_true", help="start over where an export is already")


def export(arguments: argparse.Namespace) -> None:
    """Shards that are there already stay; a run that was killed goes on."""
    config = config_from_arguments(arguments)
    spark = build_session("spark_prox export", extra=config.spark)
    ship_code(spark)
    work = Export(spark, Warehouse(spark, config.warehouse), config, EXPORT_FUNCTIONS)
    if not is_local(spark):
        check_executors(spark)
    folder, repository = work.destination.local_path, config.export.push_to
    if repository:
        check_push(folder)
    manifest = work.run(overwrite=arguments.overwrite)
    print(export_report(manifest, work.destination.uri))
    if repository and folder is not None:
        print(f"pushed: {push_folder(folder, repository)}")


if __name__ == "__main__":
    run_job(PARSER, export)
