"""The Spark session of a job: Delta, Arrow batch sizes, quiet logs. A reason beside each setting.

Delta's jars must be on the class path before the JVM starts: `make setup` puts them into the virtual environment's
Spark; elsewhere `spark-submit --packages` or a properties file from `conf/` does. Knows nothing of tables.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from spark_prox.errors import ConfigError, SetupError

__all__ = ["DELTA_COORDINATE", "DELTA_SETTINGS", "active_session", "build_session", "delta_missing", "session_settings"]

DELTA_COORDINATE = "io.delta:delta-spark_4.1_2.13:4.3.1"
DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
"""Delta's SQL (MERGE, DESCRIBE HISTORY) and its catalog: without them no SQL reads a table by its path."""


def session_settings(*, arrow_batch_rows: int = 256, arrow_batch_bytes: int = 32 << 20) -> dict[str, str]:
    """Settings that every job needs, whatever the cluster."""
    return {
        **DELTA_SETTINGS,
        # 10,000 web documents in one Arrow batch, the default, can be gigabytes.
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(arrow_batch_rows),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(arrow_batch_bytes),
        # A batch of long documents passes 2 GiB of string data only with 64-bit offsets.
        "spark.sql.execution.arrow.useLargeVarTypes": "true",
        # Delta puts each version of a table together in 50 tasks by default, most of them for nothing.
        "spark.databricks.delta.snapshotPartitions": "8",
        # Below 200, the default, each task that shuffles opens a file for each of its 200 partitions.
        "spark.shuffle.sort.bypassMergeThreshold": "16",
        # A run has a line of its own for each stage (spark_prox.stages.figures); both at once overwrite each other.
        "spark.ui.showConsoleProgress": "false",
        # Times in the tables mean the same everywhere.
        "spark.sql.session.timeZone": "UTC",
        # Killing a slow copy of a generating task would throw away a loaded model and its work.
        "spark.speculation": "false",
    }


def build_session(
    app_name: str,
    *,
    arrow_batch_rows: int = 256,
    arrow_batch_bytes: int = 32 << 20,
    extra: Mapping[str, Any] | None = None,
) -> SparkSession:
    """Start or join the session.

    Args:
        app_name: shown in Spark's web interface.
        arrow_batch_rows: most rows in an Arrow batch that a UDF receives.
        arrow_batch_bytes: most bytes in one.
        extra: settings from the configuration file, applied last.

    Raises:
        SetupError: JAVA_MISSING, DELTA_MISSING.
        ConfigError: SPARK_BAD_SETTING: a value of `extra` that Spark does not take.
    """
    # Unset, it would mean `python3` of the PATH, which need not be the interpreter that runs this.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = session_settings(arrow_batch_rows=arrow_batch_rows, arrow_batch_bytes=arrow_batch_bytes)
    own = {key: _as_setting(value) for key, value in (extra or {}).items()}
    settings.update(own)
    builder = SparkSession.builder.appName(app_name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # PySpark raises several kinds here, each with a page of Java
        text = str(error)
        if "JAVA_GATEWAY_EXITED" in text:
            raise SetupError(
                "JAVA_MISSING",
                "Spark's Java process did not start.",
                "Install Java 17 or 21 and set JAVA_HOME.",
            ) from error
        if "DeltaSparkSessionExtension" in text or "DeltaCatalog" in text:
            raise delta_missing() from error
        if own:
            raise _bad_settings(", ".join(own), error) from error
        raise
    _check_delta(spark)
    for key, value in own.items():
        _check_setting(spark, key, value)
    return spark


def active_session() -> SparkSession:
    """The session that is active, classic or Spark Connect; starts none.

    Raises:
        SetupError: NO_SESSION.
    """
    session = SparkSession.getActiveSession()
    if session is None:
        raise SetupError(
            "NO_SESSION",
            "There is no active Spark session.",
            "Start one with SparkSession.builder, or pass it as spark=.",
        )
    return session


def _check_setting(spark: SparkSession, key: str, value: str) -> None:
    """Set a setting of the session again: Spark reads many only when it uses them, after hours perhaps."""
    try:
        if spark.conf.isModifiable(key):
            spark.conf.set(key, value)
    except Exception as error:
        spark.stop()
        raise _bad_settings(key, error) from error


def _bad_settings(names: str, error: Exception) -> ConfigError:
    first = str(error).strip().split("\n", maxsplit=1)[0]
    return ConfigError(
        "SPARK_BAD_SETTING",
        f"Spark does not take the configuration's spark: {names[:200]} ({first[:200]}).",
        "See the configuration page of the Spark manual for what a setting takes.",
    )


def _check_delta(spark: SparkSession) -> None:
    jvm = spark._jvm
    assert jvm is not None
    try:
        loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
        loader.loadClass("org.apache.spark.sql.delta.catalog.DeltaCatalog")
    except Exception:  # noqa: BLE001 - py4j wraps ClassNotFoundException
        spark.stop()
        raise delta_missing() from None


def delta_missing() -> SetupError:
    """The error of a session that has no Delta."""
    return SetupError(
        "DELTA_MISSING",
        "Delta Lake is not on Spark's class path.",
        f"Run make setup, or start with: spark-submit --packages {DELTA_COORDINATE} ...",
    )


def _as_setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
