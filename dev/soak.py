"""Kill a process of a real run at a random moment, run again, hold the result against the laws; many rounds.

    python dev/soak.py --rounds 30 --seed 0

Each round takes one of: the driver, an executor, a Python worker, a worker daemon. Most rounds ask a served model that
counts its requests, some the scripted engine, some the embedded refiner. It prints a line a round and a
summary, and exits with 1 when a law was broken. Rounds that are in --folder already are not repeated, so the same
command goes on after a stop. The tables of a broken round are kept there.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # `tests` is not installed

from pyspark.sql import SparkSession  # noqa: E402

from spark_prox.spark.session import build_session  # noqa: E402
from tests.cluster.faults.documents import documents, write_documents  # noqa: E402
from tests.cluster.faults.job import EMBEDDED, SCRIPTED, Job  # noqa: E402
from tests.cluster.faults.rounds import Arena, Round, Strike, Undisturbed  # noqa: E402
from tests.cluster.faults.served import served_model  # noqa: E402
from tests.cluster.faults.victims import KINDS  # noqa: E402
from tests.cluster.standalone import standalone_cluster  # noqa: E402

BATCHES = 4


def main() -> int:
    """Run the rounds that are missing; 1 when any of all rounds broke a law."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=240)
    parser.add_argument("--incremental", action="store_true", help="from a Delta table, in micro-batches")
    parser.add_argument("--folder", type=Path, help="where results are kept; below build/ by default")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster ends with this process
    name = f"soak-{'incremental-' if options.incremental else ''}{options.seed}"
    folder = (options.folder or ROOT / "build" / name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "rounds.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    missing = [number for number in range(options.rounds) if number not in {row["number"] for row in done}]
    started = time.monotonic()
    with ExitStack() as opened:
        soak = Soak(opened, folder, options) if missing else None
        for count, number in enumerate(missing, start=1):
            assert soak is not None
            row = {"number": number, **soak.round(number)}
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            done.append(row)
            left_min = (time.monotonic() - started) / count * (len(missing) - count) / 60
            print(f"{number + 1:>3}/{options.rounds} {_line(row)}  ETA {left_min:.0f} min", flush=True)
    return _summary([row for row in done if row["number"] < options.rounds])


class Soak:
    """A cluster, a served model, an input and a session, for all rounds."""

    def __init__(self, opened: ExitStack, folder: Path, options: argparse.Namespace) -> None:
        work, count, seed = folder / "work", options.documents, options.seed
        shutil.rmtree(work, ignore_errors=True)
        for name in ("cluster", "model"):
            (work / name).mkdir(parents=True)
        self._served = opened.enter_context(served_model(work / "model", delay_s=0.02))
        cluster = opened.enter_context(standalone_cluster(work / "cluster"))
        spark = opened.enter_context(_reading_session())
        common = [f"placement.batch_documents={count // BATCHES}", "placement.partitions=4"]
        if options.incremental:
            lines = _write_table(spark, work / "input", count, seed)
            common += ["input.format=delta", "input.incremental=true", "input.max_files_per_trigger=1"]
        else:
            lines = write_documents(work / "input", count=count, seed=seed)

        @contextmanager
        def session() -> Iterator[SparkSession]:
            yield spark

        self._arena = Arena(
            cluster=cluster,
            folder=work,
            source=work / "input",
            lines=lines,
            settings=(*self._served.settings, *common),
            served=self._served,
            session=session,
        )
        self._others = {"scripted": (*SCRIPTED, *common), "embedded": (*EMBEDDED, *common)}
        self._wanted: dict[str, Undisturbed] = {}
        self._folder, self._seed = folder, seed

    def round(self, number: int) -> dict[str, object]:
        """One round, the same for the same seed and number but for the machine's own timing."""
        rng = random.Random(f"{self._seed}-{number}")
        kind, engine = KINDS[number % len(KINDS)], _engine(number)
        arena = self._arena
        if engine in self._others:
            arena = replace(arena, settings=self._others[engine], served=None)
        if engine not in self._wanted:
            self._wanted[engine] = arena.undisturbed(f"undisturbed-{engine}")
        wanted = self._wanted[engine]
        share = rng.random()
        moment = self._request(share, wanted) if arena.served and rng.random() < 0.5 else _time(share, wanted)
        name = f"round-{number}"
        result: Round = arena.round([Strike(kind=kind, moment=moment)], rng, wanted, name=name)
        if result.violations:
            shutil.move(arena.folder / name, self._folder / f"broken-{number}")
        shutil.rmtree(arena.folder / name, ignore_errors=True)
        return {
            "kind": kind,
            "engine": engine,
            "share": share,
            "batch": wanted.outcome.largest_batch,
            **asdict(result),
        }

    def _request(self, share: float, wanted: Undisturbed) -> Callable[[Job], bool]:
        start = self._served.asked
        return lambda job: self._served.asked - start >= share * wanted.asked


def _write_table(spark: SparkSession, path: Path, count: int, seed: int) -> int:
    """A Delta table of documents, a commit and a file for each micro-batch; gives the number of rows."""
    rows = documents(count, seed)
    for part in range(BATCHES):
        frame = spark.createDataFrame(rows[part::BATCHES], "id string, text string")
        frame.coalesce(1).write.format("delta").mode("append").save(str(path))
    return len(rows)


def _time(share: float, wanted: Undisturbed) -> Callable[[Job], bool]:
    end = time.monotonic() + share * wanted.seconds
    return lambda job: time.monotonic() >= end


def _engine(number: int) -> str:
    return "embedded" if number % 15 == 14 else "scripted" if number % 5 == 3 else "served"


@contextmanager
def _reading_session() -> Iterator[SparkSession]:
    settings = {
        "spark.master": "local[1]",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.databricks.delta.snapshotPartitions": "2",  # Delta's log of a few rows
        "spark.sql.shuffle.partitions": "2",  # the same for the tables
    }
    spark = build_session("spark_prox soak", extra=settings)
    try:
        yield spark
    finally:
        spark.stop()


def _line(row: dict[str, object]) -> str:
    repeated = "-" if row["repeated"] is None else f"{row['repeated']}/{row['batch']}"
    struck = "killed" if row["struck"] else "missed"
    state = "; ".join(map(str, row["violations"])) or "good"  # type: ignore[call-overload]
    return (
        f"{row['kind']:<13} {struck} ({row['engine']}) at {row['stage'] or 'the start'!r}, exit {row['exit_codes']}, "
        f"repeated {repeated}, {row['seconds']:.0f} s: {state}"
    )


def _summary(rows: list[dict[str, object]]) -> int:
    broken = [row for row in rows if row["violations"]]
    struck = Counter(str(row["kind"]) for row in rows if row["struck"])
    kinds = ", ".join(f"{struck[kind]} {kind}" for kind in KINDS)
    print(f"{len(rows)} rounds; killed: {kinds}; {len(rows) - len(broken)} good, {len(broken)} broken")
    for row in broken:
        print(f"  round {row['number']}: {_line(row)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
