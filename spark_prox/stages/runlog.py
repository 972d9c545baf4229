"""One row of `runs` for each stage of a run: what was configured, how much was done, how long it took, how it ended.

The rows of short stages are stored together, in one commit.
"""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata

from pyspark.sql import SparkSession

import spark_prox
from spark_prox.config.run import RunConfig, config_as_json
from spark_prox.errors import ProxError, code_in
from spark_prox.spark.shipping import code_fingerprint
from spark_prox.warehouse.schemas import RUNS
from spark_prox.warehouse.tables import Warehouse

__all__ = ["RunLog", "StageFigures", "new_run_id", "versions"]

_LONG_S = 60.0
_PACKAGES = ("pyspark", "delta-spark", "torch", "transformers", "tokenizers", "vllm", "pandas", "pyarrow")


@dataclass(kw_only=True)
class StageFigures:
    """The figures of a stage; filled in while it runs.

    Attributes:
        documents: documents that the stage worked on.
        skipped: documents that were done already.
        flop: 2 x parameters x tokens, prompt and output; None where the model's size is unknown.
        guard: what the guard rails counted, for later runs to compare with.
    """

    documents: int = 0
    skipped: int = 0
    rejects: int = 0
    programs: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    flop: float | None = None
    seconds: float = 0.0
    guard: dict[str, float] = field(default_factory=dict)


def new_run_id() -> str:
    """A run's name: UTC time and four random bytes."""
    return datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ-") + secrets.token_hex(4)


def versions() -> dict[str, str]:
    """Versions of what decides results, without importing any of it."""
    found = {
        "spark_prox": spark_prox.__version__,
        "code": code_fingerprint(),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


class RunLog:
    """Writes `runs` for one run."""

    def __init__(self, spark: SparkSession, warehouse: Warehouse, config: RunConfig, run_id: str) -> None:
        self._spark = spark
        self._warehouse = warehouse
        self._config = config
        self._rows: list[tuple[object, ...]] = []
        self.run_id = run_id

    @contextmanager
    def stage(self, name: str, settings: str) -> Iterator[StageFigures]:
        """Time a stage and keep its figures at its end, also when it fails; `flush` stores them.

        A stage that took long is stored at once: a run that is killed later loses the figures of short ones only.

        Args:
            name: ingest, generate-doc, generate-chunk or execute.
            settings: hash of what decides the stage's result.
        """
        figures = StageFigures()
        started, clock = datetime.now(timezone.utc), time.monotonic()
        try:
            yield figures
        except BaseException as error:
            figures.seconds = time.monotonic() - clock
            code = error.code if isinstance(error, ProxError) else code_in(str(error)) or type(error).__name__
            self._keep(name, figures, started, status="FAILED", error=code, settings=settings)
            with suppress(Exception):  # the stage's own error is the one to report
                self.flush()
            raise
        figures.seconds = time.monotonic() - clock
        self._keep(name, figures, started, status="DONE", error=None, settings=settings)
        if figures.seconds >= _LONG_S:
            self.flush()

    def flush(self) -> None:
        """Store what was kept."""
        if not self._rows:
            return
        self._warehouse.expect("runs")
        rows = self._spark.createDataFrame(self._rows, RUNS.schema).coalesce(1)
        self._warehouse.append("runs", rows)
        self._rows.clear()

    def _keep(
        self,
        name: str,
        figures: StageFigures,
        started: datetime,
        *,
        status: str,
        error: str | None,
        settings: str,
    ) -> None:
        row = (
            self.run_id,
            name,
            status,
            error,
            started,
            datetime.now(timezone.utc),
            figures.seconds,
            figures.documents,
            figures.skipped,
            figures.rejects,
            figures.programs,
            figures.prompt_tokens,
            figures.output_tokens,
            figures.flop,
            settings,
            config_as_json(self._config),
            versions(),
            figures.guard,
        )
        self._rows.append(row)
