"""Runs in an interpreter of its own, because a process has either classic sessions or those of Spark Connect.

Arguments: the notebook's code as a file, a warehouse, a model folder, a free folder. Runs the notebook in its session,
then the cases of `facade_cases`; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

os.environ["SPARK_TESTING"] = "1"  # the server takes a free port
os.environ["SPARK_REMOTE"] = "local[2]"

from spark_prox import connect
from tests.quick_spark import QUICK_JVM, QUICK_SESSION
from tests.spark import facade_cases


def main(cells: str, warehouse: str, model: str, folder: str) -> None:
    """One session for everything."""
    from pyspark.sql import SparkSession

    from spark_prox.spark.session import session_settings

    settings = {
        **session_settings(),
        **QUICK_SESSION,
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"{QUICK_JVM} -Dderby.system.home={folder}",
        "spark.sql.warehouse.dir": folder,
    }
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    said = {"session": type(spark).__module__, "notebook": _run_notebook(cells)}
    facade_cases.check(facade_cases.refined(spark, Path(model)))
    said["asked"] = facade_cases.asked(connect(warehouse))
    spark.stop()
    sys.__stdout__.write(json.dumps(said) + "\n")


def _run_notebook(cells: str) -> list[list[str]]:
    """The outcomes that its table shows."""
    import matplotlib as mpl

    mpl.use("agg")
    names = runpy.run_path(cells)
    return [[row.id, row.outcome] for row in names["sample"].itertuples()]


if __name__ == "__main__":
    main(*sys.argv[1:])
