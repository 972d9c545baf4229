"""Spark with a naive pandas UDF: it gets a batch of texts, pads them, generates, and gives the refined texts.

The function lives in a module, so that a worker loads the model once; pasted into a notebook it would load it for each
task. One job writes Parquet: a run that was killed starts from the beginning.
"""

from __future__ import annotations

import json
import os
import sys

from bench.references.naive_udf import refined_text
from bench.references.work import command_line


def main() -> None:
    """Refine all pages."""
    work, _ = command_line(__doc__)
    os.environ["BENCH_WORK"] = json.dumps(vars(work))  # Spark's workers read it
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    builder = SparkSession.builder.master("local[1]").appName("naive").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", str(work.batch)).getOrCreate()
    pages = spark.read.json(work.pages).repartition(work.parts)
    refine = F.pandas_udf(refined_text, "string")
    pages.select("id", refine("text").alias("text")).write.mode("overwrite").parquet(work.output)
    spark.stop()


if __name__ == "__main__":
    main()
