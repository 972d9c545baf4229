"""Another state of `refined` beside the present one: what an earlier run left, or what another policy would make.

A run's state is read from the table's history. A policy's is made by executing the stored programs again, without a
model and without storing anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_prox.config.plain_yaml import parse_yaml
from spark_prox.documents import Level
from spark_prox.errors import ConfigError, TableError
from spark_prox.execution import RefinedRow
from spark_prox.functions import Functions
from spark_prox.keys import ProgramKey
from spark_prox.programs import POLICIES, Policy, policy_for
from spark_prox.report.applied import Applied
from spark_prox.report.figures import outcome_rows
from spark_prox.report.page.model import Flow, StateComparison, Transition
from spark_prox.report.story import KEY_COLUMNS
from spark_prox.rows import Origin, fields_of
from spark_prox.stages.quarantine import FAILED
from spark_prox.stages.stored import PROGRAM_COLUMNS, used_programs, with_programs
from spark_prox.stages.verdicts import with_verdicts
from spark_prox.warehouse.schemas import REFINED
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.texts import with_texts

__all__ = ["OtherState", "changed_documents", "compare", "other_state", "policy_named"]

_SIZES = tuple(f"{unit}_{when}" for unit in ("lines", "words", "chars", "tokens") for when in ("before", "after"))
_COMPARED = ("doc_id", "outcome", "reason", "doc_reason", *_SIZES)


@dataclass(frozen=True, kw_only=True)
class OtherState:
    """Rows of `refined` as they were, or as they would be.

    Attributes:
        policy: under which they would be made; None for an earlier run.
        rows: the columns of `refined`, tokens null where they would have to be counted.
        compared: what both states are compared by, kept while the report is made.
    """

    name: str
    how: str
    policy: Policy | None
    rows: DataFrame
    compared: DataFrame


def policy_named(text: str, present: Policy) -> Policy | None:
    """The policy that a command line names: `compat`, or `default,min_remove_margin=2`; None if it names none.

    Fields alone, as in `min_remove_margin=2`, are changes of the present policy.

    Raises:
        ConfigError: POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
    """
    name, *fields = (part.strip() for part in text.split(","))
    base: Policy | str = name
    if "=" in name:
        base, fields = present, [name, *fields]
    elif name not in POLICIES:
        return None
    pairs = [field.partition("=") for field in fields]
    return policy_for(base, **{key.strip(): _value(key, value) for key, _, value in pairs})


@contextmanager
def other_state(
    spark: SparkSession, warehouse: Warehouse, applied: Applied, against: str | None, functions: Functions | None
) -> Iterator[OtherState | None]:
    """The state that `--against` names, made once and kept on disk meanwhile; None for None.

    Raises:
        ConfigError: AGAINST_UNKNOWN: no policy and no run; POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
        TableError: RUN_NOT_KEPT: the table's history does not reach back to the run.
    """
    if against is None or functions is None:
        yield None
        return
    policy = policy_named(against, applied.policy)
    if policy is not None:
        rows = _executed(warehouse, applied, policy, functions)
    else:
        rows = _as_the_run_left_it(spark, warehouse, against)
    kept = rows.selectExpr(*_COMPARED, "xxhash64(text) AS text_hash").persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield OtherState(
            name=against, how="run" if policy is None else "policy", policy=policy, rows=rows, compared=kept
        )
    finally:
        kept.unpersist()


def compare(refined: DataFrame, other: OtherState) -> StateComparison:
    """Both states side by side: token flow, and which outcome became which."""
    there, failed = other.compared.where(f"NOT ({FAILED})"), other.compared.where(FAILED)
    held = failed.agg(F.count("*").alias("documents"), F.sum("chars_before").alias("chars")).collect()[0]
    here = refined.selectExpr(*("doc_id", "outcome", "words_after AS words_here"), "xxhash64(text) AS text_here")
    joined = here.join(there.withColumnRenamed("outcome", "outcome_there"), "doc_id", "full")
    rows = (
        joined.groupBy("outcome_there", "outcome")
        .agg(
            F.count("*").alias("documents"),
            F.count_if(~F.col("text_here").eqNullSafe(F.col("text_hash"))).alias("text_differs"),
            F.coalesce(F.sum("words_after"), F.lit(0)).alias("there"),
            F.coalesce(F.sum("words_here"), F.lit(0)).alias("here"),
        )
        .orderBy(F.desc("documents"))
        .collect()
    )
    outcomes = outcome_rows(there)
    both = [row for row in rows if row["outcome"] and row["outcome_there"]]
    return StateComparison(
        name=other.name,
        how=other.how,
        flow=Flow(
            name=other.name,
            outcomes=outcomes,
            quarantined=held["documents"],
            quarantined_chars=held["chars"] or 0,
        ),
        transitions=[
            Transition(
                before=row["outcome_there"],
                after=row["outcome"],
                documents=row["documents"],
                text_differs=row["text_differs"],
                words_before=row["there"],
                words_after=row["here"],
            )
            for row in both
        ],
        only_here=sum(row["documents"] for row in rows if not row["outcome_there"]),
        only_there=sum(row["documents"] for row in rows if not row["outcome"]),
    )


def changed_documents(refined: DataFrame, other: OtherState) -> DataFrame:
    """Rows of `refined` whose text or outcome differs."""
    there = other.compared.selectExpr("doc_id", "outcome AS outcome_there", "text_hash")
    differs = "NOT (xxhash64(text) <=> text_hash) OR outcome <> outcome_there"
    return refined.join(there, "doc_id").where(differs).select(*refined.columns)


def _value(key: str, text: str) -> object:
    try:
        return parse_yaml(text)
    except Exception:  # noqa: BLE001 - whatever YAML does not take
        raise ConfigError(
            "POLICY_BAD_VALUE", f"Policy field {key[:80]} is {text!r:.80}.", "Give a number or null."
        ) from None


def _as_the_run_left_it(spark: SparkSession, warehouse: Warehouse, run_id: str) -> DataFrame:
    version = _version_after(spark, warehouse, run_id)
    try:
        rows = spark.sql(f"SELECT * FROM {warehouse.name('refined')} VERSION AS OF {version}")
        rows.select("doc_id").limit(1).count()
    except Exception as error:
        raise TableError(
            "RUN_NOT_KEPT",
            f"Version {version} of refined, which the run {run_id!r:.80} left, cannot be read any more.",
            "Compare with its policy: --against NAME,field=value. maintain.py --retention-hours keeps versions longer.",
        ) from error
    return rows


def _version_after(spark: SparkSession, warehouse: Warehouse, run_id: str) -> int:
    """The version of `refined` that a run left: the last one until it was finished."""
    runs = warehouse.read("runs").where((F.col("run_id") == run_id) & (F.col("stage") == "execute"))
    finished = runs.agg(F.max("finished_at")).first()
    if finished is None or finished[0] is None:
        known = warehouse.read("runs").where("stage = 'execute'").orderBy(F.desc("started_at")).limit(5).collect()
        raise ConfigError(
            "AGAINST_UNKNOWN",
            f"{run_id!r:.80} is neither a policy nor a run that executed programs.",
            f"Policies: {', '.join(POLICIES)}; last runs: {', '.join(row['run_id'] for row in known) or 'none'}.",
        )
    history = spark.sql(f"DESCRIBE HISTORY {warehouse.name('refined')}").where(F.col("timestamp") <= finished[0])
    version = history.agg(F.max("version")).first()
    if version is None or version[0] is None:
        raise TableError(
            "RUN_NOT_KEPT",
            f"The history of refined does not reach back to the run {run_id!r:.80}.",
            "Compare with its policy: --against NAME,field=value.",
        )
    return int(version[0])


def _executed(warehouse: Warehouse, applied: Applied, policy: Policy, functions: Functions) -> DataFrame:
    """Every document under another policy, as the execute stage would make it."""
    passed = ("doc_id", "doc_hash", "url", "text", "source", "crawl")
    keys: dict[Level, ProgramKey] = {
        level: ProgramKey(model="", template="", **dict(zip(KEY_COLUMNS, key, strict=True)))  # type: ignore[arg-type]
        for level, key in applied.keys.items()
    }
    documents = with_texts(warehouse, warehouse.read("documents").select(*passed, "text_place"))
    programs = with_programs(documents, used_programs(warehouse, keys.values()), keys)
    programs = with_verdicts(warehouse, programs, applied.filters)
    inputs = programs.select(*passed, *PROGRAM_COLUMNS, "line_program")
    run_columns = {field.name for field in fields_of(RefinedRow) if field.origin is Origin.RUN}
    schema = REFINED.schema
    core = type(schema)([field for field in schema.fields if field.name not in run_columns])
    function = functions.execute_programs(policy=policy, dialect=applied.dialect, tokenizer=None)
    return inputs.mapInArrow(function, core)
