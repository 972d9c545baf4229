"""Test every state that SIGKILL could leave on disk: stop a real run again and again, copy its tables, run each copy.

    python dev/crash_states.py --scenario first --states 40

A run is stopped every few milliseconds. If a name has come or gone below its warehouse, the warehouse is copied: a
kill at this moment would leave this copy. Then the same command runs over each copy, in one session, and must give the
result of the undisturbed run. Scenarios: `first` (an empty warehouse), `policy` (everything is executed again
under another policy), `changes` (a source with a change data feed was updated). A line for each state that was not
repaired, exit code 1 if there is one. The soak kills at random moments; this finds the windows too short to be hit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # `tests` is not installed

from pyspark.sql import SparkSession  # noqa: E402

from jobs.refine import PARSER, refine  # noqa: E402
from spark_prox.spark.session import build_session  # noqa: E402
from tests.cluster.faults.documents import documents, write_documents  # noqa: E402
from tests.cluster.faults.job import SCRIPTED, launch, refine_command  # noqa: E402
from tests.cluster.faults.outcome import Outcome, read_outcome, violations  # noqa: E402

DOCUMENTS = 40
SLICE_S = 0.004
SETTINGS = (*SCRIPTED, "placement.batch_documents=20", "placement.partitions=1", "show_example=false")
FROM_TABLE = ("input.format=delta", "input.incremental=true")
_QUICK = {
    "spark.master": "local[1]",
    "spark.driver.memory": "2g",  # Delta remembers the tables of every state
    "spark.buffer.pageSize": "2m",  # by default 64 MB for the smallest sort
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@dataclass(frozen=True)
class Scenario:
    """A run to take states of.

    Attributes:
        base: warehouse that it starts from; None for an empty one.
        lines: rows that must come out, of `refined` and `rejects`; None where the run itself says it.
    """

    source: Path
    base: Path | None
    settings: tuple[str, ...]
    lines: int | None


def main() -> int:
    """Take states and go on from them; 1 when one could not be repaired."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=("first", "policy", "changes"), default="first")
    parser.add_argument("--states", type=int, default=40, help="at most, evenly over the run")
    parser.add_argument(
        "--between", type=float, nargs=2, default=(0.0, 1.0), metavar="SHARE", help="of the run: 0.7 0.8 looks closer"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spark = build_session("spark_prox crash states", extra=_QUICK)
        try:
            scenario = _scenario(spark, folder, options.scenario)
            states = take_states(scenario, folder)
            wanted = read_outcome(spark, folder / "w")
            lines = scenario.lines or len(wanted.refined) + len(wanted.rejects)
            if broken := violations(wanted, wanted, lines=lines):
                raise SystemExit(f"the run itself: {'; '.join(broken)}")
            first, stop = (round(share * len(states)) for share in options.between)
            chosen = states[first : stop : max(1, math.ceil((stop - first) / options.states))]
            print(f"{len(states)} states, {len(chosen)} of them are gone on from", flush=True)
            return _go_on(spark, scenario, chosen, wanted, lines)
        finally:
            spark.stop()


def take_states(scenario: Scenario, folder: Path) -> list[Path]:
    """Run the job to its end at `folder`/w; gives copies of its warehouse, in order.

    Raises:
        SystemExit: the run failed.
    """
    warehouse, log = folder / "w", folder / "run.log"
    if scenario.base is not None:
        shutil.copytree(scenario.base, warehouse, ignore=shutil.ignore_patterns("_lease"))  # held by this process
    command = refine_command(
        master="local[1]",
        python=sys.executable,
        source=scenario.source,
        warehouse=warehouse,
        settings=scenario.settings,
    )
    states: list[Path] = []
    last = _names(warehouse)
    with launch(command, log) as job:
        while job.running:
            os.killpg(job.process.pid, signal.SIGSTOP)
            if (names := _names(warehouse)) != last:
                last = names
                states.append(folder / f"state-{len(states)}")
                shutil.copytree(warehouse, states[-1])
            os.killpg(job.process.pid, signal.SIGCONT)
            time.sleep(SLICE_S)
    if job.process.returncode != 0:
        raise SystemExit(f"the run failed:\n{job.output[-3000:]}")
    return states


def _go_on(spark: SparkSession, scenario: Scenario, states: Sequence[Path], wanted: Outcome, lines: int) -> int:
    started, bad = time.monotonic(), 0
    for number, state in enumerate(states, start=1):
        had = sorted(_names(state))
        if broken := _repair(spark, scenario, state, wanted, lines):
            bad += 1
            print(f"{state.name}: {'; '.join(broken)}\n  it held {', '.join(had)}", flush=True)
        left_min = (time.monotonic() - started) / number * (len(states) - number) / 60
        print(f"{number}/{len(states)} {state.name}, {bad} broken, ETA {left_min:.0f} min", flush=True)
    print(f"{len(states)} states: {len(states) - bad} repaired, {bad} broken")
    return 1 if bad else 0


def _repair(spark: SparkSession, scenario: Scenario, state: Path, wanted: Outcome, lines: int) -> list[str]:
    try:
        _run(scenario, state)
        return violations(read_outcome(spark, state), wanted, lines=lines)
    except Exception as error:  # noqa: BLE001 - whatever it is, this state stays broken
        return [f"the run over it ended with {type(error).__name__}: {str(error)[:300]}"]


def _run(scenario: Scenario, warehouse: Path) -> None:
    """The same run, in this process."""
    arguments = ["--warehouse", str(warehouse), "--input", str(scenario.source), "--input-format", "jsonl"]
    arguments += ["--id-column", "id", "--text-column", "text"]
    arguments += [word for setting in scenario.settings for word in ("--set", setting)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        refine(PARSER.parse_args(arguments))


def _scenario(spark: SparkSession, folder: Path, name: str) -> Scenario:
    source, base = folder / "input", folder / "base"
    if name != "changes":
        lines = write_documents(source, count=DOCUMENTS, seed=0)
        first = Scenario(source, None, SETTINGS, lines)
        if name == "first":
            return first
        _run(first, base)
        return Scenario(source, base, (*SETTINGS, "policy.name=compat"), lines)
    rows = documents(DOCUMENTS, 0)
    spark.createDataFrame(rows, "id string, text string").coalesce(1).write.format("delta").option(
        "delta.enableChangeDataFeed", "true"
    ).save(str(source))
    table = f"delta.`{source}`"
    scenario = Scenario(source, base, (*SETTINGS, *FROM_TABLE), None)
    _run(scenario, base)
    ids = [doc_id for doc_id, _ in rows]
    spark.sql(f"DELETE FROM {table} WHERE id IN {tuple(ids[:5])}")
    spark.sql(f"UPDATE {table} SET text = concat('Another title\n', text) WHERE id IN {tuple(ids[5:12])}")
    spark.sql(f"UPDATE {table} SET text = ' ' WHERE id IN {tuple(ids[12:14])}")
    spark.sql(f"INSERT INTO {table} VALUES ('new-1', 'One line\nand another'), ('new-2', 'Two lines\nof a page')")
    return scenario


def _names(folder: Path) -> set[str]:
    """The names of everything below a folder, folders included; empty files are marked."""
    return {
        f"{path.relative_to(folder)}{'/' if path.is_dir() else ' (empty)' if path.stat().st_size == 0 else ''}"
        for path in folder.rglob("*")
    }


if __name__ == "__main__":
    sys.exit(main())
