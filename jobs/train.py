"""Train an embedded refiner from line-labelled pages: tokenizer, teacher, model, thresholds, model card."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from spark_prox.jobkit import run_job
from spark_prox.refiners.model_card import model_card
from spark_prox.refiners.pictures import draw_training_curve
from spark_prox.refiners.recipe import load_pages, make_refiner
from spark_prox.refiners.synthetic import smoke_settings
from spark_prox.refiners.team import join_team
from spark_prox.refiners.training import Progress
from spark_prox.refiners.training_config import load_train_config

PARSER = argparse.ArgumentParser(
    prog="train.py",
    description=f"{__doc__} Run again after a kill, it goes on where it stopped.",
    epilog="Examples:\n  spark-submit jobs/train.py --config conf/train-embedded.yaml --set output=my-refiner\n"
    "  torchrun --nproc-per-node 2 jobs/train.py --set threads=1",
    formatter_class=argparse.RawDescriptionHelpFormatter,
)
PARSER.add_argument("--config", metavar="FILE", default="conf/train-embedded.yaml", help="YAML settings")
PARSER.add_argument(
    "--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help="override a setting"
)
PARSER.add_argument("--smoke", metavar="FOLDER", help="train on synthetic pages into FOLDER, under a minute")
PARSER.add_argument("--debug", action="store_true", help="show a stack trace on an error")


def train(arguments: argparse.Namespace) -> None:
    """Train or resume, then write thresholds, card and curve."""
    smoke = smoke_settings(arguments.smoke) if arguments.smoke else []
    config = load_train_config(arguments.config, [*smoke, *arguments.overrides])
    started, team = time.monotonic(), join_team()

    def say(text: str) -> None:
        if team.leads:
            print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    def report(line: Progress) -> None:
        f1 = "" if line.word_f1 is None else f", word F1 {line.word_f1:.4f} on validation hosts"
        minutes = (config.steps - line.step) * line.seconds / line.step / 60
        speed = f"{line.tokens / 1e6:.2f}M tokens, {line.tokens / line.seconds:,.0f} a second"
        say(f"step {line.step:,}/{config.steps:,}, {speed}, loss {line.loss:.4f}{f1}, {minutes:.0f} min left")

    log, thresholds = make_refiner(config, say=say, report=report, team=team)
    if thresholds is not None:
        output = Path(config.output)
        draw_training_curve(log, output / "curve.png")
        card = model_card(config, load_pages(config), log, thresholds)
        (output / "model" / "README.md").write_text(card, encoding="utf-8")
        say(f"word F1 {thresholds.chunk.word_f1:.4f} at min_remove_margin {thresholds.chunk.margin:g}")
        say(f"The model is in {output / 'model'}; measure it with jobs/evaluate.py")


if __name__ == "__main__":
    run_job(PARSER, train)
