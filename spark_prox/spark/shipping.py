"""Ship this code to the executors, and prove that they run the same.

A zip added to the Spark context beats whatever is installed on an executor, and a stale one would do so silently. So
the driver packs what it runs itself, and every executor's copy is compared by content hash before any model is loaded.
Knows nothing of stages.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark import SparkContext
from pyspark.sql import SparkSession

from spark_prox.errors import SetupError

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["CodeProbe", "build_zip", "check_executors", "code_fingerprint", "is_connect", "is_local", "ship_code"]

_PACKAGES = ("spark_prox", "udfs")
_shipped: set[str] = set()
_INTERPRETER = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
_MISSING_MODULE = re.compile(r"No module named '([\w.]+)'")


def is_local(spark: SparkSession) -> bool:
    """True if driver and executors are one machine's `local[n]` and so share their code.

    Of a Spark Connect session only this process can be such a driver, and is when it started the server itself.
    """
    if is_connect(spark):
        context = SparkContext._active_spark_context
        return context is not None and _is_local_master(context.master)
    return _is_local_master(spark.sparkContext.master)


def is_connect(spark: SparkSession) -> bool:
    """True for a session of Spark Connect, which has no JVM and no context."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def _is_local_master(master: str | None) -> bool:
    return master is not None and (master == "local" or master.startswith("local["))


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """SHA-256 (first 16 hex digits) over the Python sources of both packages, as this process imports them.

    Taken once: a file that changes later is not what this process runs.
    """
    digest = hashlib.sha256()
    for name, item in _files():
        if name.endswith(".py"):
            digest.update(name.encode())
            digest.update(item.read_bytes())
    return digest.hexdigest()[:16]


def build_zip(target: Path) -> Path:
    """Pack both packages, embedded refiner included, for `spark-submit --py-files`; the same input, the same bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, item in _files():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), item.read_bytes(), zipfile.ZIP_DEFLATED)
    target.write_bytes(content.getvalue())
    return target


def ship_code(spark: SparkSession) -> None:
    """Add this process's code to the executors of a cluster, once a session; not needed under `local[n]`."""
    if is_local(spark):
        _use_this_interpreter(spark)
        return
    name = f"spark_prox-{code_fingerprint()}.zip"
    if is_connect(spark):
        session = str(spark.session_id)  # type: ignore[attr-defined]
        if session not in _shipped:
            spark.addArtifacts(str(build_zip(Path(tempfile.mkdtemp(prefix="spark_prox-code-")) / name)), pyfile=True)
            _shipped.add(session)
    elif name not in (spark.sparkContext._python_includes or ()):
        # Spark refuses a second file of the same name from another folder.
        folder = Path(tempfile.mkdtemp(prefix="spark_prox-code-"))
        spark.sparkContext.addPyFile(str(build_zip(folder / name)))


def _use_this_interpreter(spark: SparkSession) -> None:
    """Let the workers of a local session be of this interpreter, where nobody said which one.

    Spark would take the first `python3` of the PATH, which need not have the packages that this one has.
    """
    if is_connect(spark) or any(os.environ.get(name) for name in _INTERPRETER):
        return
    if not spark.conf.get("spark.pyspark.python", ""):
        spark.sparkContext.pythonExec = sys.executable


@dataclass(frozen=True, kw_only=True)
class CodeProbe:
    """For `mapInPandas`: the code fingerprint and Python version that a task sees."""

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """One row per task."""
        import platform

        for _ in batches:
            pass
        yield pd.DataFrame({"fingerprint": [code_fingerprint()], "python": [platform.python_version()]})


def check_executors(spark: SparkSession) -> int:
    """Run the probe on the cluster.

    Returns:
        How many tasks answered.

    Raises:
        SetupError: CODE_NOT_SHIPPED when executors cannot import spark_prox, CODE_DIFFERS when they run other code.
    """
    slots = max(2, spark.sparkContext.defaultParallelism)
    rows = spark.range(slots, numPartitions=slots)
    try:
        answers = rows.mapInPandas(CodeProbe(), "fingerprint string, python string").collect()
    except Exception as error:  # the class of an executor's exception is lost; only its text survives
        missing = _MISSING_MODULE.search(str(error))
        if missing:
            raise SetupError(
                "CODE_NOT_SHIPPED",
                f"Executors cannot import {missing.group(1)}.",
                "Their interpreter (spark.pyspark.python) needs the packages of requirements.txt; spark_prox itself "
                "is sent to them by every job.",
            ) from error
        raise
    expected = code_fingerprint()
    others = {row["fingerprint"] for row in answers} - {expected}
    if others:
        raise SetupError(
            "CODE_DIFFERS",
            f"The driver runs code {expected} and executors run {', '.join(sorted(others))}.",
            "Remove stale --py-files and old installations of spark_prox on the executors.",
        )
    return len(answers)


def _files() -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []

    def walk(folder: Traversable, name: str) -> None:
        for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
            below = f"{name}/{item.name}"
            if item.is_dir():
                if item.name != "__pycache__":
                    walk(item, below)
            elif not item.name.endswith((".pyc", ".pyo")):
                found.append((below, item))

    for package in _PACKAGES:
        walk(resources.files(package), package)
    return found
