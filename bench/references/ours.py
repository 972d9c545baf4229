"""Ours: `refine` into Delta tables, in local Spark, with the transformers or the vLLM engine.

A batch of documents is a commit: a run that was killed goes on behind the last one.
"""

from __future__ import annotations

import dataclasses
import json
import os

from bench.references.logged_engine import GenerateAndLog
from bench.references.work import command_line


def main() -> None:
    """Refine all pages."""
    work, options = command_line(__doc__)
    os.environ["BENCH_ANSWERS"] = work.answers  # Spark's workers read it
    from spark_prox.config.run import load_config
    from spark_prox.pipeline import Pipeline
    from udfs.functions import FUNCTIONS

    spark = {
        "spark.master": "local[1]",
        "spark.ui.enabled": "false",
        # As in conf/spark-local.conf: tables of a few rows need no 50 tasks each.
        "spark.sql.shuffle.partitions": 4,
        "spark.databricks.delta.snapshotPartitions": 2,
    }
    with open(work.pages, encoding="utf-8") as lines:  # noqa: PTH123
        count = sum(1 for _ in lines)
    sets = [
        *work.settings(),
        *(f"model.engine={options.engine}", "model.dtype=float32", "model.threads=1", "policy.name=compat"),
        *(f"placement.batch_documents={-(-count // work.parts)}", "guard.enabled=false"),
        f"spark={json.dumps(spark)}",
    ]
    base = {"warehouse": work.output, "input.path": work.pages, "input.format": "jsonl", "input.id_column": "id"}
    functions = dataclasses.replace(FUNCTIONS, generate_programs=GenerateAndLog)
    pipe = Pipeline(load_config(None, sets, base), functions, name="ours")
    pipe.begin()
    pipe.refine()
    pipe.spark.stop()


if __name__ == "__main__":
    main()
