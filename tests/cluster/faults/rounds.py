"""One round: a run is disturbed by kills, the same command is run again, and the result is held against the laws."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.faults.job import Job, start
from tests.cluster.faults.outcome import Outcome, read_outcome, violations
from tests.cluster.faults.served import ServedModel
from tests.cluster.faults.victims import fix, kill
from tests.cluster.standalone import StandaloneCluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Arena", "Round", "Strike", "Undisturbed"]


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One kill.

    Attributes:
        kind: of `victims.KINDS`.
        moment: asked again and again while the run goes on: whether the time has come.
    """

    kind: str
    moment: Callable[[Job], bool]


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A run that nothing disturbed.

    Attributes:
        asked: requests that the served model got.
    """

    outcome: Outcome
    seconds: float
    asked: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """What became of one round.

    Attributes:
        struck: what was killed; less than was to be when the run ended before.
        exit_codes: of the disturbed run and of those after it.
        repeated: requests that the served model got more than once; None for another engine.
        stage: the last thing that the disturbed run had said when it was last struck.
    """

    struck: tuple[str, ...]
    exit_codes: tuple[int, ...]
    repeated: int | None
    stage: str
    seconds: float
    violations: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Where rounds take place.

    Attributes:
        lines: lines of the input, see `write_documents`.
        settings: of the run.
        served: the model whose requests are counted; None for another engine.
        session: opens the Spark session that reads the results.
    """

    cluster: StandaloneCluster
    folder: Path
    source: Path
    lines: int
    settings: Sequence[str]
    served: ServedModel | None
    session: Callable[[], AbstractContextManager[SparkSession]]

    def run(self, name: str, *, log: str = "") -> Job:
        """Start the command; one name is one warehouse."""
        return start(
            self.cluster,
            self.folder / f"{log or name}.log",
            source=self.source,
            warehouse=self.folder / name,
            settings=self.settings,
        )

    def read(self, warehouse: str | Path) -> Outcome:
        """What a warehouse holds: one of `run`, by its name, or another, by its path."""
        with self.session() as spark:
            return read_outcome(spark, self.folder / warehouse)

    def undisturbed(self, name: str = "undisturbed") -> Undisturbed:
        """Run once without a fault.

        Raises:
            RuntimeError: it failed.
        """
        asked, started = self._asked(), time.monotonic()
        with self.run(name) as job:
            if job.wait() != 0:
                raise RuntimeError(f"the undisturbed run failed:\n{job.output[-3000:]}")
        seconds = time.monotonic() - started
        return Undisturbed(outcome=self.read(name), seconds=seconds, asked=self._asked() - asked)

    def round(
        self,
        strikes: Sequence[Strike],
        rng: random.Random,
        wanted: Undisturbed,
        *,
        name: str,
        always_again: bool = True,
    ) -> Round:
        """Disturb a run, run again, compare.

        Args:
            rng: chooses among the processes of a kind.
            name: of the warehouse; a new one each time, for Spark remembers tables by their paths.
            always_again: run again even where the disturbed run came to a good end.
        """
        asked, started = self._asked(), time.monotonic()
        struck, stage = list[str](), ""
        with self.run(name) as job:
            for strike in strikes:
                while job.running and not strike.moment(job):
                    time.sleep(0.05)
                if kill(strike.kind, self.cluster, job, rng):
                    struck.append(strike.kind)
                    stage = _last_stage(job)
            codes = [job.wait()]
        fix(self.cluster)
        broken = []
        if codes[0] != 0 and "driver" not in struck:
            broken.append(f"the run did not survive the loss of {' and '.join(struck)}: {_last_line(job)}")
        if codes[0] != 0 or always_again:
            with self.run(name) as job:
                codes.append(job.wait())
        repeated = None if self.served is None else self._asked() - asked - wanted.asked
        if codes[-1] == 0:
            broken += violations(
                self.read(name), wanted.outcome, lines=self.lines, repeated=repeated, strikes=len(struck)
            )
        else:
            broken.append(f"the second run ended with {codes[-1]}: {_last_line(job)}")
        return Round(
            struck=tuple(struck),
            exit_codes=tuple(codes),
            repeated=repeated,
            stage=stage,
            seconds=time.monotonic() - started,
            violations=broken,
        )

    def _asked(self) -> int:
        return self.served.asked if self.served is not None else 0


def _last_stage(job: Job) -> str:
    words = ("ingest", "generate", "execute", "starting")
    return next((line.strip() for line in reversed(job.output.splitlines()) if line.strip().startswith(words)), "")


def _last_line(job: Job) -> str:
    return next((line.strip() for line in reversed(job.output.splitlines()) if line.strip()), "")
