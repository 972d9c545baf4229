"""What a session's Hadoop configuration says of object stores, as data for the executors' own readers.

`spark.hadoop.*`, `core-site.xml` and Hadoop's credential providers are all in it. Knows no store.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.s3a_settings import S3A_KEYS, S3A_SECRETS

__all__ = ["object_stores"]

_BUCKETS = "fs.s3a.bucket."
_PROVIDERS = ("fs.s3a.security.credential.provider.path", "hadoop.security.credential.provider.path")


def object_stores(spark: SparkSession) -> ObjectStores:
    """How object stores are reached in this session."""
    jsc: Any = spark._jsc
    jvm: Any = spark._jvm
    configuration = jsc.hadoopConfiguration()
    names = [*S3A_KEYS, *_of_buckets(configuration)]
    providers = [str(path) for path in map(configuration.get, _PROVIDERS) if path]
    if providers:
        configuration = jvm.org.apache.hadoop.conf.Configuration(configuration)
        configuration.set(_PROVIDERS[1], ",".join(providers))
    found = {}
    for name in names:
        if providers and name.endswith(tuple(key.removeprefix("fs.s3a.") for key in S3A_SECRETS)):
            secret = configuration.getPassword(name)
            found[name] = "" if secret is None else "".join(secret)
        else:
            found[name] = str(configuration.get(name) or "")
    return ObjectStores.of(found)


def _of_buckets(configuration: Any) -> list[str]:
    """The keys that are set for single buckets."""
    endings = tuple(key.removeprefix("fs.s3a") for key in S3A_KEYS)
    return [_BUCKETS + name for name in configuration.getPropsWithPrefix(_BUCKETS) if name.endswith(endings)]
