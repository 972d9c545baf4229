"""Tells this process and the executors how to reach the object store that a model lies in.

The settings go to the tasks as a local property of the context, whose name makes Spark hide its value in logs and in
the web interface. Spark Connect has no context: there the environment of the executors says it.
"""

from __future__ import annotations

import json

from pyspark.sql import SparkSession

from spark_prox.model_store import STORES_PROPERTY, use_stores
from spark_prox.spark.hadoop_settings import object_stores

__all__ = ["share_stores"]


def share_stores(spark: SparkSession) -> None:
    """Pass on what `fs.s3a.*` and Hadoop's own files say, to this process and to every task that this thread starts."""
    stores = object_stores(spark)
    use_stores(stores)
    spark.sparkContext.setLocalProperty(STORES_PROPERTY, json.dumps([stores.settings, stores.hadoop]))
