"""Do a run again from its row of `runs`: its configuration, and what differs in code, models and input since.

The row comes from one warehouse, and the run goes into another one, so that nothing of the first changes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import functions as F

from spark_prox.config.run import RunConfig, load_config
from spark_prox.errors import ConfigError, InputError, ProxError
from spark_prox.sources.formats import FORMATS
from spark_prox.sources.frames.files import list_files
from spark_prox.sources.frames.raw import table_snapshot
from spark_prox.sources.snapshot import InputSnapshot, snapshot_of_files
from spark_prox.stages.base import Run
from spark_prox.stages.runlog import versions
from spark_prox.warehouse.tables import Warehouse

__all__ = ["Origins", "RecordedRun", "differences", "origins_now", "recorded_run"]

_KEY = ("model", "model_revision", "template", "template_hash", "generation_hash")


@dataclass(frozen=True, kw_only=True)
class Origins:
    """All that decides a run's texts, besides its configuration.

    Attributes:
        versions: of the code and of packages.
        writers: columns of their keys, by level.
        policy: as JSON of its fields; None where it is not known.
        snapshot: of the input; None where it is not known.
    """

    versions: Mapping[str, str]
    writers: Mapping[str, Mapping[str, str]]
    policy: Mapping[str, object] | None
    snapshot: InputSnapshot | None


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run as `runs` has it.

    Attributes:
        tree: its configuration, as nested mappings.
    """

    run_id: str
    tree: Mapping[str, object] = field(repr=False)
    origins: Origins

    def config(self, into: str, overrides: Sequence[str], given: Mapping[str, object]) -> RunConfig:
        """The configuration for another warehouse.

        A Delta table is read as it was, at the version that the run read, all of it at once.

        Args:
            into: the other warehouse.
            overrides: `key=value`, as for `--set`.
            given: keys of the command line, for example another place of the input.

        Raises:
            ConfigError: RERUN_CONFIG: the row was written by a version with other keys; otherwise as `load_config`.
            InputError: RERUN_NO_INPUT.
        """
        try:
            load_config(None, (), copy.deepcopy(dict(self.tree)))
        except ProxError as error:
            raise ConfigError(
                "RERUN_CONFIG",
                f"The configuration of run {self.run_id} does not fit this version: {error.what}",
                "Use the version that `runs.versions` names.",
            ) from None
        base = {**copy.deepcopy(dict(self.tree)), **given, "warehouse": into}  # the loader writes into it
        spec = load_config(None, overrides, base).input
        if spec is None:
            raise InputError(
                "RERUN_NO_INPUT",
                f"Run {self.run_id} read no input: it worked on documents that were there.",
                "Rerun the run that `documents.ingested_by` names, or give --input and --input-format.",
            )
        snapshot = self.origins.snapshot
        if FORMATS[spec.format].is_table and snapshot is not None and snapshot.version is not None:
            base |= {"input.incremental": False, "input.version": snapshot.version}
        return load_config(None, overrides, base)


def recorded_run(warehouse: Warehouse, run_id: str) -> RecordedRun:
    """Read a run's rows.

    Raises:
        InputError: RUN_UNKNOWN, naming the last runs.
    """
    runs = warehouse.read("runs")
    rows = runs.where(F.col("run_id") == run_id).orderBy("started_at").collect()
    if not rows:
        last = runs.groupBy("run_id").agg(F.max("started_at").alias("at")).orderBy(F.desc("at")).limit(5).collect()
        raise InputError(
            "RUN_UNKNOWN",
            f"The table runs has no run {run_id[:80]!r}.",
            f"The last ones: {', '.join(row['run_id'] for row in last) or 'none'}.",
        )
    read = next((row for row in rows if row["stage"] == "ingest"), rows[0])
    writers = next((row["writers"] for row in rows if row["writers"]), ())
    policy = next((row["policy"] for row in rows if row["policy"]), None)
    return RecordedRun(
        run_id=run_id,
        tree=json.loads(read["config"]),
        origins=Origins(
            versions=read["versions"] or {},
            writers={writer["stage"]: writer.asDict() for writer in writers},
            policy=None if policy is None else json.loads(policy),
            snapshot=None if read["input"] is None else InputSnapshot.of(read["input"]),
        ),
    )


def origins_now(run: Run) -> Origins:
    """The origins of a run that is about to begin. Errors as in `list_files`."""
    spec = run.config.input
    assert spec is not None
    if FORMATS[spec.format].is_table:
        snapshot = table_snapshot(run.spark, spec)
    else:
        files = list_files(run.spark, spec)
        snapshot = snapshot_of_files(spec.path, ((file.path, file.size, file.modified) for file in files))
    return Origins(
        versions=versions(),
        writers={level: {name: getattr(key, name) for name in _KEY} for level, key in run.keys.items()},
        policy=dict(vars(run.policy)),
        snapshot=snapshot,
    )


def differences(before: Origins, now: Origins) -> list[str]:
    """Name all that is not as it was, one line each; something that is not known is a line too."""
    found = [
        f"{name}: was {before.versions.get(name, 'absent')}, is {now.versions.get(name, 'absent')}"
        for name in sorted({*before.versions, *now.versions})
        if before.versions.get(name) != now.versions.get(name)
    ]
    if before.policy is None and not before.writers:
        found.append("models and policy of the run are not known: its row is of an earlier version")
    else:
        found += _writers(before.writers, now.writers)
        for name in sorted({*(before.policy or {}), *(now.policy or {})}):
            old, new = (before.policy or {}).get(name), (now.policy or {}).get(name)
            if old != new:
                found.append(f"policy {name}: was {old}, is {new}")
    if before.snapshot is None:
        found.append("the input of that time is not known: the run's row does not have it")
    elif now.snapshot is not None and (differs := before.snapshot.differs(now.snapshot)):
        found.append(f"input {now.snapshot.path}: {differs}")
    return found


def _writers(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    found = []
    for level in sorted({*before, *now}):
        old, new = before.get(level), now.get(level)
        if old is None or new is None:
            found.append(f"{level} level: was {'off' if old is None else 'on'}, is {'off' if new is None else 'on'}")
            continue
        for name in _KEY:
            if old.get(name) != new.get(name):
                found.append(f"{level} level, {name.replace('_', ' ')}: was {old.get(name)}, is {new.get(name)}")
    return found
