"""One row of `runs` for each stage of a run: what was configured, how much was done, how long it took, how it ended.

The rows of short stages are stored together, in one commit. The row of a long one is stored while it runs and replaced
as it grows. The same figures go to the terminal and to a push gateway.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata

from pyspark.sql import SparkSession

import spark_prox
from spark_prox.config.run import RunConfig, config_as_json
from spark_prox.errors import ProxError, code_in
from spark_prox.keys import ProgramKey
from spark_prox.programs import Policy
from spark_prox.spark.activity import activity_of, described
from spark_prox.spark.local_rows import local_rows
from spark_prox.spark.progress import LiveLine, announce
from spark_prox.spark.shipping import code_fingerprint
from spark_prox.stages.figures import LARGEST_TASK, InFlight, StageFigures, figures_line, samples
from spark_prox.stages.push_gateway import PushGateway
from spark_prox.warehouse.schemas import RUNS
from spark_prox.warehouse.tables import Warehouse

__all__ = ["RunLog", "new_run_id", "versions"]

_LONG_S = 60.0
_PACKAGES = ("pyspark", "delta-spark", "torch", "transformers", "tokenizers", "vllm", "pandas", "pyarrow")


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


@dataclass(kw_only=True)
class _Running:
    """A stage that runs."""

    figures: StageFigures
    settings: str
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    clock: float = field(default_factory=time.monotonic)
    worked_since: float | None = None
    stored_at: float = field(default_factory=time.monotonic)
    job: str = ""
    reads_documents: bool = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.clock

    @property
    def working(self) -> float | None:
        return None if self.worked_since is None else time.monotonic() - self.worked_since


class RunLog:
    """Writes `runs` for one run, and tells of it while it runs.

    Args:
        keys: of the writers of the levels that are on.
        policy: that the run executes under; None for a run that executes nothing.

    Raises:
        SetupError: PROMETHEUS_MISSING.
    """

    def __init__(
        self,
        spark: SparkSession,
        warehouse: Warehouse,
        config: RunConfig,
        run_id: str,
        *,
        keys: Iterable[ProgramKey] = (),
        policy: Policy | None = None,
    ) -> None:
        self._spark = spark
        self._warehouse = warehouse
        self._config = config
        self._writers = [tuple(getattr(key, name) for name in _WRITER) for key in keys]
        self._policy = None if policy is None else json.dumps(dataclasses.asdict(policy), sort_keys=True)
        self._rows: dict[datetime, tuple[object, ...]] = {}
        self._stored: set[datetime] = set()
        self._running: _Running | None = None
        self._samples: dict[str, Mapping[str, float]] = {}
        progress = config.progress
        self._gateway = PushGateway(progress, run_id, self._all_samples, announce) if progress.push_gateway else None
        self.run_id = run_id
        self.balance: dict[str, float] = {}  # by stage that has ended: the largest task over the mean

    @contextmanager
    def stage(self, name: str, settings: str) -> Iterator[StageFigures]:
        """Time a stage, tell of it while it runs, and keep its figures at its end, also when it fails.

        `flush` stores them. A stage that took long is stored at once: a run that is killed later loses the figures of
        short ones only.

        Args:
            name: ingest, generate-doc, generate-chunk or execute.
            settings: hash of what decides the stage's result.
        """
        figures = StageFigures(stage=name)
        running = self._running = _Running(figures=figures, settings=settings)
        if self._gateway is not None:
            self._gateway.start()
        try:
            with (
                described(self._spark, f"{name}, run {self.run_id}"),
                LiveLine(lambda: self._line(running), every_s=self._config.progress.log_every_s),
            ):
                yield figures
        except BaseException as error:
            code = error.code if isinstance(error, ProxError) else code_in(str(error)) or type(error).__name__
            self._end(running, status="FAILED", error=code)
            with suppress(Exception):  # the stage's own error is the one to report
                self.flush()
            self.close()
            raise
        self._end(running, status="DONE", error=None)
        if figures.seconds >= _LONG_S:
            self.flush()

    @contextmanager
    def portion(
        self,
        what: str = "",
        *,
        number: int = 1,
        count: int = 1,
        documents: int = 0,
        reads_documents: bool = False,
    ) -> Iterator[None]:
        """Around the Spark jobs of one portion of the stage that runs: they and the terminal's line say which.

        Args:
            what: the step, for a stage of several.
            number: which portion, from 1.
            count: how many there are.
            documents: in this portion.
            reads_documents: the last tasks get each document through a shuffle, by which they can be counted.
        """
        running = self._running
        assert running is not None
        running.worked_since = running.worked_since or time.monotonic()
        batch = f", batch {number} of {count}" if count > 1 else ""
        running.job = f"{running.figures.stage}{f': {what}' if what else ''}{batch}, run {self.run_id}"
        running.reads_documents = reads_documents
        running.figures.in_flight = InFlight(what=what, portion=number, portions=count, documents=documents)
        try:
            with described(self._spark, running.job):
                yield
        finally:
            running.figures.in_flight = None
            running.figures.counted_seconds = running.working or 0.0

    def grown(self) -> None:
        """After a portion: bring the row of the stage that runs up to date, if the last time is a while ago."""
        running = self._running
        if running is None or time.monotonic() - running.stored_at < self._config.progress.store_every_s:
            return
        running.stored_at = time.monotonic()
        self._keep(running, status="RUNNING", error=None)
        self.flush()

    def flush(self) -> None:
        """Store what was kept, in one commit; a row that was stored while its stage ran is replaced."""
        if not self._rows:
            return
        self._warehouse.expect("runs")
        rows = local_rows(self._spark, list(self._rows.values()), RUNS.schema)
        if self._stored.isdisjoint(self._rows):
            self._warehouse.append("runs", rows)
        else:
            self._warehouse.upsert("runs", rows)
        self._stored.update(self._rows)
        self._rows.clear()

    def close(self) -> None:
        """Tell the push gateway a last time."""
        if self._gateway is not None:
            self._gateway.stop()

    def _line(self, running: _Running) -> str:
        return figures_line(self._seen(running), running.seconds, working=running.working)

    def _seen(self, running: _Running) -> StageFigures:
        """The figures, and what Spark says of the portion in flight. Other threads call it, so it changes nothing."""
        figures = dataclasses.replace(running.figures)
        if figures.in_flight is not None:
            activity = activity_of(self._spark, running.job)
            read = activity.rows if running.reads_documents and activity.rows else None
            figures.in_flight = dataclasses.replace(
                figures.in_flight, read=read, tasks=activity.tasks, tasks_done=activity.tasks_done
            )
        return figures

    def _all_samples(self) -> Mapping[str, Mapping[str, float]]:
        running = self._running
        now = {}
        if running is not None:
            figures = self._seen(running)
            now[figures.stage] = samples(figures, running.seconds, working=running.working)
        return {**self._samples, **now}

    def _end(self, running: _Running, *, status: str, error: str | None) -> None:
        figures = running.figures
        figures.in_flight = None
        figures.seconds = running.seconds
        self._running = None
        self._samples[figures.stage] = samples(figures, figures.seconds, working=running.working)
        if (largest := figures.guard.get(LARGEST_TASK)) is not None:
            self.balance[figures.stage] = max(largest, self.balance.get(figures.stage, 0.0))
        if status != "DONE" or running.worked_since is not None or figures.seconds >= _LONG_S:
            announce(figures_line(figures, figures.seconds, working=running.working, ended=status.lower()))
        self._keep(running, status=status, error=error)

    def _keep(self, running: _Running, *, status: str, error: str | None) -> None:
        figures = running.figures
        values = {
            **{name: getattr(figures, name) for name in _FIGURES},
            "run_id": self.run_id,
            "status": status,
            "error": error,
            "started_at": running.started,
            "finished_at": None if status == "RUNNING" else datetime.now(timezone.utc),
            "seconds": running.seconds if status == "RUNNING" else figures.seconds,
            "settings_hash": running.settings,
            "config": config_as_json(self._config),
            "versions": versions(),
            "writers": self._writers,
            "policy": self._policy,
        }
        self._rows[running.started] = tuple(values[name] for name in RUNS.schema.fieldNames())


_WRITER = ("stage", "model", "model_revision", "template", "template_hash", "generation_hash")
_FIGURES = (
    *("stage", "documents", "planned", "skipped", "rejects", "programs", "kept", "failed", "prompt_tokens"),
    *("output_tokens", "tokens_before", "tokens_after", "flop", "guard", "input"),
)
