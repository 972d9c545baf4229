"""Train a refiner: a line encoder, a causal language model, or the line classifier."""

from __future__ import annotations

import argparse
import time

from spark_prox.jobkit import run_job
from spark_prox.training.kinds import load_kind, train_kind
from spark_prox.training.sft.recipe import fine_tune
from spark_prox.training.sft.settings import SftConfig
from spark_prox.training.synthetic import smoke_settings

PARSER = argparse.ArgumentParser(
    prog="train.py",
    description=f"{__doc__} `kind` in the settings says which. Run again after a kill, it goes on where it stopped.",
    epilog="Examples:\n"
    "  python jobs/train.py --config conf/train-encoder.yaml --set output=my-encoder\n"
    "  spark-submit jobs/train.py --config conf/train-embedded.yaml --set output=my-refiner\n"
    "  torchrun --nproc-per-node 2 jobs/train.py --set threads=1\n"
    "  spark-submit jobs/train.py --config conf/train-sft.yaml --set model=/models/base --set output=my-refiner\n"
    "  python jobs/train.py --config conf/train-lora.yaml --set model=/models/base --set examples=examples.jsonl\n"
    "  python jobs/train.py --config conf/train-classifier.yaml --set output=classifier",
    formatter_class=argparse.RawDescriptionHelpFormatter,
)
PARSER.add_argument("--config", metavar="FILE", default="conf/train-embedded.yaml", help="YAML settings")
PARSER.add_argument(
    "--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[], help="override a setting"
)
PARSER.add_argument("--smoke", metavar="FOLDER", help="train on synthetic pages into FOLDER, under a minute")
PARSER.add_argument("--debug", action="store_true", help="show a stack trace on an error")


def train(arguments: argparse.Namespace) -> None:
    """Train or resume, in this process or in those that Spark starts."""
    smoke = smoke_settings(arguments.smoke) if arguments.smoke else []
    config = load_kind(arguments.config, [*smoke, *arguments.overrides])
    if isinstance(config, SftConfig) and config.distributed == "torch_distributor":
        train_through_spark(config)
        return
    started = time.monotonic()
    train_kind(config, lambda text: print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True))


def train_through_spark(config: SftConfig) -> None:
    """Start the processes with TorchDistributor: on this machine, or one in each of the executors' task slots."""
    from pyspark.ml.torch.distributor import TorchDistributor

    from spark_prox.spark.session import build_session

    build_session("spark_prox train")
    distributor = TorchDistributor(
        num_processes=config.processes, local_mode=config.local_mode, use_gpu=config.device == "cuda"
    )
    distributor.run(fine_tune, config, print)


if __name__ == "__main__":
    run_job(PARSER, train)
