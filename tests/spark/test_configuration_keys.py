"""Spark knows every key of the properties files in `conf/`. Only its own classes list them, so a session is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.test_configuration_files import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Keys that carry a name of the user's choice and so are in no registry.
NAMED = re.compile(
    r"spark\.master|"  # older than the registry
    r"spark\.hadoop\.fs\.s3a\.[a-z.]+|"  # Hadoop's own: tests/cloud asks S3A
    r"spark\.(?:(?:executor|worker)\.resource\.gpu\.(?:amount|discoveryScript|vendor)"
    r"|executorEnv\.[A-Z_]+"
    r"|kubernetes\.(?:driver|executor)\.volumes\.persistentVolumeClaim\.\w+\.(?:options\.claimName|mount\.(?:path|readOnly)))"
)
REGISTRIES = (
    "org.apache.spark.internal.config.package$",
    "org.apache.spark.internal.config.Python$",
    "org.apache.spark.internal.config.Network$",
    "org.apache.spark.internal.config.UI$",
    "org.apache.spark.deploy.yarn.config.package$",
    "org.apache.spark.deploy.k8s.Config$",
    "org.apache.spark.sql.internal.SQLConf$",
    "org.apache.spark.sql.delta.sources.DeltaSQLConf$",
)


@pytest.fixture
def known_keys(spark: SparkSession) -> set[str]:
    """Every key that this Spark has registered, asked of its own classes."""
    java: Any = spark._jvm
    loader = java.java.lang.Thread.currentThread().getContextClassLoader()
    for name in REGISTRIES:
        java.java.lang.Class.forName(name, True, loader)
    entries = getattr(java.org.apache.spark.internal.config, "ConfigEntry$").__getattr__("MODULE$")
    return set(entries.knownConfigs().keys())


def test_every_key_is_one_that_this_spark_knows(known_keys: set[str], repository: Path) -> None:
    files = sorted((repository / "conf").glob("spark-*.conf"))
    assert len(files) == 5
    for file in files:
        unknown = {key for key in settings(file) if key not in known_keys and not NAMED.fullmatch(key)}
        assert not unknown, file.name
    assert "spark.python.worker.reuse" in known_keys
    assert "spark.python.worker.reused" not in known_keys
