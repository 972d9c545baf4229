"""The keys of `conf/spark-s3.conf` and those that the executors' reader follows are keys of this S3A."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from spark_prox.config.input import InputSpec
from spark_prox.sources.s3a_settings import S3A_KEYS
from spark_prox.spark.hadoop_settings import object_stores
from tests.cloud.settings import S3_CONF, properties
from tests.cloud.store import KEY, SECRET, Store
from udfs.ingest import ReadArchives

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def known_keys(spark: SparkSession) -> set[str]:
    """What S3A's class of constants names."""
    java: Any = spark._jvm
    loader = java.java.lang.Thread.currentThread().getContextClassLoader()
    fields = loader.loadClass("org.apache.hadoop.fs.s3a.Constants").getFields()
    values = [field.get(None) for field in fields if field.getType().getSimpleName() == "String"]
    return {str(value) for value in values}


def test_s3a_knows_every_key(spark: SparkSession, store: Store) -> None:
    known = known_keys(spark)
    assert set(S3A_KEYS) <= known
    ours = {key.removeprefix("spark.hadoop.") for key in properties() if key.startswith("spark.hadoop.fs.")}
    # Also those that are shown as comments, and of a single bucket.
    ours |= set(re.findall(r"^# spark\.hadoop\.(fs\.s3a\.[a-z.]+) ", S3_CONF.read_text(encoding="utf-8"), re.MULTILINE))
    assert ours
    assert {key for key in ours if key not in known} == set()
    assert "fs.s3a.endpoints" not in known


def test_the_sessions_settings_are_what_executors_get(spark: SparkSession, store: Store) -> None:
    found = dict(object_stores(spark).settings)
    assert found["fs.s3a.endpoint"] == store.url
    assert (found["fs.s3a.access.key"], found["fs.s3a.secret.key"]) == (KEY, SECRET)
    assert found["fs.s3a.bucket.refused.access.key"] == "AKIANOBODY"
    assert not [key for key, _ in object_stores(spark).hadoop if "s3a" in key]


def test_keys_in_a_credential_file_of_hadoops_are_found(spark: SparkSession, store: Store, tmp_path: object) -> None:
    java: Any = spark._jvm
    configuration = spark._jsc.hadoopConfiguration()
    name, path = "fs.s3a.bucket.kept.secret.key", f"jceks://file{tmp_path}/keys.jceks"
    try:
        configuration.set("hadoop.security.credential.provider.path", path)
        configuration.set("fs.s3a.bucket.kept.access.key", "AKIAKEPT")
        provider = java.org.apache.hadoop.security.alias.CredentialProviderFactory.getProviders(configuration)[0]
        secret = java.java.lang.String("kept-in-a-file").toCharArray()
        provider.createCredentialEntry(name, secret)
        provider.flush()
        assert dict(object_stores(spark).settings).get(name) == "kept-in-a-file"
    finally:
        configuration.unset("fs.s3a.bucket.kept.access.key")
        configuration.unset("hadoop.security.credential.provider.path")


def test_no_plan_shows_a_secret(spark: SparkSession, store: Store) -> None:
    reader = ReadArchives(spec=InputSpec(path="s3a://crawl/x", format="wet"), stores=object_stores(spark))
    rows = spark.range(1).selectExpr("'s3a://crawl/x' AS path", "'archive' AS kind", "id AS start", "id AS stop")
    plan = str(rows.mapInPandas(reader, reader.columns)._jdf.queryExecution().toString())
    assert "ReadArchives" in plan
    assert not [secret for secret in (KEY, SECRET) if secret in f"{plan} {reader!r}"]
