"""Compare writers of programs on pages of hosts that training never saw: refiners, rules, the line classifier."""

from __future__ import annotations

import argparse
from pathlib import Path

from spark_prox.evaluation.comparison import compare_on_held_out_hosts, write_comparison
from spark_prox.jobkit import run_job
from spark_prox.training.model_card import write_figures

PARSER = argparse.ArgumentParser(
    prog="evaluate.py",
    description=__doc__,
    epilog="Examples:\n  spark-submit jobs/evaluate.py --labelled ../shared/data/gold_lines --output figures\n"
    "  spark-submit jobs/evaluate.py --config conf/rescraper.yaml --model /models/ReScraper "
    "--labelled my-pages.jsonl.gz --output figures",
    formatter_class=argparse.RawDescriptionHelpFormatter,
)
PARSER.add_argument(
    "--model", nargs="*", default=["embedded"], help="folders of language models (default: the shipped refiner)"
)
PARSER.add_argument(
    "--template", default="auto", help="of their prompts: auto (as jobs/refine.py), page, embedded, prox, prox-bare"
)
PARSER.add_argument("--config", metavar="FILE", help="configuration of a run, for example conf/rescraper.yaml")
PARSER.add_argument(
    "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the run, for example dialect=ultrax"
)
PARSER.add_argument("--labelled", nargs="+", required=True, metavar="PATH", help="line-labelled pages")
PARSER.add_argument("--extra", nargs="*", default=[], metavar="PATH", help="pages never trained on")
PARSER.add_argument("--extra-pages", type=int, default=0, metavar="N", help="at most N of them (default: all)")
PARSER.add_argument("--pages", type=int, default=0, metavar="N", help="at most N test pages (default: all)")
PARSER.add_argument("--documents", metavar="FILE", help="documents with a human label: {id, text, keep}")
PARSER.add_argument("--output", required=True, metavar="FOLDER", help="for figures.json, table.md, recall.png")
PARSER.add_argument("--classifier", metavar="FILE", help="line classifier of jobs/train.py; made if absent")
PARSER.add_argument("--threads", type=int, default=2, help="CPU threads (default: %(default)s)")
PARSER.add_argument("--card", metavar="FILE", help="model card to write the table into")
PARSER.add_argument("--debug", action="store_true", help="show a stack trace on an error")


def evaluate(arguments: argparse.Namespace) -> None:
    """Read verdicts, compare, write JSON, a table and a plot."""
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    comparison = compare_on_held_out_hosts(
        arguments.model,
        labelled=arguments.labelled,
        extra=arguments.extra,
        extra_pages=arguments.extra_pages,
        documents=arguments.documents,
        classifier=arguments.classifier or output / "line_classifier.npz",
        threads=arguments.threads,
        say=lambda text: print(text, flush=True),
        template=arguments.template,
        most_pages=arguments.pages,
        settings=arguments.set,
        config=arguments.config,
    )
    table = write_comparison(comparison, output)
    if arguments.card:
        write_figures(arguments.card, table)
    print(table)


if __name__ == "__main__":
    run_job(PARSER, evaluate)
