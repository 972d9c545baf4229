"""The settings under which rows of `refined` were made: which stored programs count, the policy, the dialect.

Found in the tables alone, so that a report needs no model: the hash of the settings proves which programs they were.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_prox.config.loading import build
from spark_prox.config.run import RunConfig
from spark_prox.documents import Level
from spark_prox.errors import ProxError, TableError
from spark_prox.keys import digest
from spark_prox.programs import Policy, policy_for
from spark_prox.report.story import KEY_COLUMNS, Key
from spark_prox.stages.verdicts import filters_of_config
from spark_prox.warehouse.tables import Warehouse
from spark_prox.writers import policy_of

__all__ = ["Applied", "applied_settings", "config_of_run"]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """Everything besides a document that decided its row of `refined`.

    Attributes:
        settings: `refined.settings_hash`.
        run_id: the last run that wrote rows under them.
        policy: with the margins that the model recommends.
        policy_is_known: whether its hash is the rows' one; else margins that a model recommended are missing, because
            its folder is not here.
        keys: the programs of the levels that are on.
        filters: hashes of the filters that were on, see `spark_prox.filters.filter_hashes`.
        keys_are_known: whether the settings' hash proves them; else they are the latest ones.
        config: the run's configuration as JSON; "{}" where `runs` does not have it.
        others: documents whose rows other settings made.
    """

    settings: str
    run_id: str
    policy: Policy
    policy_is_known: bool
    dialect: str
    keys: Mapping[Level, Key]
    keys_are_known: bool
    filters: Mapping[str, str]
    config: str
    documents: int
    others: int


def applied_settings(warehouse: Warehouse, settings: str | None = None) -> Applied:
    """The settings of the rows that were written last, or those with a given hash.

    Raises:
        TableError: TABLE_MISSING; REPORT_EMPTY: there is no row of `refined`, or none of these settings.
    """
    groups = (
        warehouse.read("refined")
        .groupBy("settings_hash", "policy", "policy_hash")
        .agg(
            F.count("*").alias("documents"),
            F.max("refined_at").alias("last"),
            F.max_by("run_id", "refined_at").alias("run_id"),
        )
        .orderBy(F.desc("last"))
        .collect()
    )
    mine = [row for row in groups if settings is None or row["settings_hash"] == settings]
    if not mine:
        raise TableError(
            "REPORT_EMPTY",
            "There is no refined document" + (f" of the settings {settings!r:.80}." if settings else "."),
            "Run jobs/refine.py or jobs/execute.py first.",
        )
    row = mine[0]
    config = config_of_run(warehouse, row["run_id"])
    policy, known = _policy(config, _of_run(warehouse, row["run_id"], "policy"), row)
    tree = _tree(config)
    dialect = str(tree.get("dialect") or "prox")
    filters = filters_of_config(config)
    keys, proven = _keys(warehouse, row, dialect, bool(tree.get("count_tokens", True)), filters)
    return Applied(
        settings=row["settings_hash"],
        run_id=row["run_id"],
        policy=policy,
        policy_is_known=known,
        dialect=dialect,
        keys=keys,
        keys_are_known=proven,
        filters=filters,
        config=config,
        documents=row["documents"],
        others=sum(other["documents"] for other in groups) - row["documents"],
    )


def config_of_run(warehouse: Warehouse, run_id: str) -> str:
    """A run's configuration as JSON; "{}" where `runs` does not have it."""
    return _of_run(warehouse, run_id, "config")


def _of_run(warehouse: Warehouse, run_id: str, column: str) -> str:
    """A column of JSON in a run's last row; "{}" where it is not there."""
    if not warehouse.exists("runs"):
        return "{}"
    runs = warehouse.read("runs").where(F.col("run_id") == run_id)
    if column not in runs.columns:
        return "{}"
    found = runs.where(F.col(column).isNotNull()).orderBy(F.desc("started_at")).select(column).first()
    return str(found[0]) if found is not None else "{}"


def _tree(config: str) -> dict[str, object]:
    try:
        tree = json.loads(config)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _policy(config: str, stored: str, row: Row) -> tuple[Policy, bool]:
    """The policy whose hash the rows have; the nearest one where a model's margins cannot be read."""
    nearest = Policy()
    for candidate in _policies(config, stored, str(row["policy"])):
        if candidate.fingerprint() == row["policy_hash"]:
            return candidate, True
        nearest = candidate
    return nearest, False


def _policies(config: str, stored: str, name: str) -> Iterator[Policy]:
    try:
        if fields := _tree(stored):
            yield policy_for(Policy(), **fields)
        yield policy_for(name)
        run = build(RunConfig, _tree(config), "")
        yield policy_for(run.policy.name, **{str(key): value for key, value in run.policy.overrides.items()})
        yield policy_of(run)
    except (ProxError, OSError):
        return


def _keys(
    warehouse: Warehouse, row: Row, dialect: str, count_tokens: bool, filters: Mapping[str, str]
) -> tuple[dict[Level, Key], bool]:
    """The keys that the settings' hash was made of, else the latest of each level."""
    if not warehouse.exists("programs"):
        return {}, False
    stored = (
        warehouse.read("programs")
        .groupBy(*KEY_COLUMNS)
        .agg(F.max("generated_at").alias("last"))
        .orderBy(F.desc("last"))
        .collect()
    )
    found: dict[Level, list[Key]] = {"doc": [], "chunk": []}
    for key in stored:
        stage, revision, template, generation = (str(key[name]) for name in KEY_COLUMNS)
        found["doc" if stage == "doc" else "chunk"].append((stage, revision, template, generation))
    for doc, chunk in itertools.product([None, *found["doc"]], [None, *found["chunk"]]):
        used = [key for key in (doc, chunk) if key is not None]
        keys = [dict(zip(KEY_COLUMNS, key, strict=True)) for key in used]
        deciding = [keys, row["policy_hash"], dialect, count_tokens]
        if digest([*deciding, [*filters.values()]] if filters else deciding) == row["settings_hash"]:
            return {"doc" if key is doc else "chunk": key for key in used}, True
    latest: dict[Level, Key] = {level: keys[0] for level, keys in found.items() if keys}
    return latest, False
