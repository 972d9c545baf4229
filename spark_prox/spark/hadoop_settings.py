"""The settings of a session's Hadoop for object stores, as data for the executors' own readers.

`spark.hadoop.*`, `core-site.xml` and Hadoop's credential providers are all in it. Knows no store.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from pyspark.sql import SparkSession

from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.s3a_settings import S3A_KEYS, S3A_SECRETS

__all__ = ["object_stores"]

_BUCKETS = "fs.s3a.bucket."
_ENDINGS = tuple(key.removeprefix("fs.s3a") for key in S3A_KEYS)
_SECRETS = tuple(key.removeprefix("fs.s3a") for key in S3A_SECRETS)
_OF_HADOOP = ("fs.", "dfs.", "hadoop.", "ipc.", "io.", "net.")
_OF_STORES = ("fs.s3", "fs.azure.", "fs.gs.", "hadoop.security.credential.provider.path")
_PROVIDERS = ("fs.s3a.security.credential.provider.path", "hadoop.security.credential.provider.path")


def object_stores(spark: SparkSession) -> ObjectStores:
    """The settings by which object stores are reached in this session."""
    jsc: Any = spark._jsc
    jvm: Any = spark._jvm
    configuration = jsc.hadoopConfiguration()
    names = {*S3A_KEYS, *_of_buckets(configuration)}
    providers = [str(path) for path in map(configuration.get, _PROVIDERS) if path]
    if providers:
        configuration = jvm.org.apache.hadoop.conf.Configuration(configuration)
        configuration.set(_PROVIDERS[1], ",".join(providers))
        # What they keep shows in no listing: ask for the secrets of every bucket that is named.
        named = {name.removesuffix(key) for name in names for key in _ENDINGS if name.endswith(key)}
        names |= {bucket + secret for bucket in named for secret in _SECRETS}
    found = {}
    for name in names:
        if providers and name.endswith(_SECRETS):
            secret = configuration.getPassword(name)
            found[name] = "" if secret is None else "".join(secret)
        else:
            found[name] = str(configuration.get(name) or "")
    return ObjectStores.of(found, _given(jvm, jsc.hadoopConfiguration()))


def _of_buckets(configuration: Any) -> list[str]:
    """The keys that are set for single buckets."""
    return [_BUCKETS + name for name in configuration.getPropsWithPrefix(_BUCKETS) if name.endswith(_ENDINGS)]


def _given(jvm: Any, configuration: Any) -> dict[str, str]:
    """The settings that Hadoop was given beside its defaults, but for object stores; one call, not a thousand."""
    writer = jvm.java.io.StringWriter()
    configuration.writeXml(writer)
    found = {}
    for entry in ElementTree.fromstring(str(writer.toString())):
        name, value = entry.findtext("name") or "", entry.findtext("value") or ""
        sources = {source.text or "" for source in entry.findall("source")}
        told = not sources or not all(source.endswith("-default.xml") for source in sources)
        if told and value and name.startswith(_OF_HADOOP) and not name.startswith(_OF_STORES):
            found[name] = value
    return found
