"""Configuration of a run: all sections together, read from a YAML file plus `key=value` overrides.

It is read on the driver only; executors get the dataclasses they need, pickled. It knows nothing of Spark.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_prox.config.annotate import AnnotateConfig
from spark_prox.config.apart import check_apart
from spark_prox.config.export import ExportConfig
from spark_prox.config.filters import FiltersConfig
from spark_prox.config.guard import GuardConfig
from spark_prox.config.input import InputSpec
from spark_prox.config.lease import LeaseConfig
from spark_prox.config.limits import check_least
from spark_prox.config.loading import as_mapping, bad_value, build, read_tree
from spark_prox.config.model import ModelSpec
from spark_prox.config.names import schema_of
from spark_prox.config.placement import PlacementConfig
from spark_prox.config.progress import ProgressConfig
from spark_prox.programs import policy_for
from spark_prox.programs.dialects import dialect_for

__all__ = ["PolicyConfig", "RunConfig", "StageConfig", "config_as_json", "load_config"]

_SECRET = re.compile(r"secret|password|token|access\.?key|account\.?key", re.IGNORECASE)
_HIDDEN = "(hidden)"


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One level of ProX: "doc" keeps or drops documents, "chunk" edits what was kept.

    Attributes:
        enabled: run the level.
        template: prompt template; "auto" takes that of line encoders for one, and the Llama-2 one otherwise.
        model: overrides of the top-level `model` keys, for example `{path: /models/web-doc-refining-lm}`.
        max_prompt_tokens: context window that a prompt and its answer share, in tokens.
        max_chunk_tokens: budget of the numbered lines of one chunk, in tokens (ProX: 1,500).
        max_new_tokens: most tokens decoded for one program (ProX: 256 for chunks).
        max_chunks: most chunks of one document; the lines behind them stay as they are, and `programs` says
            TOO_MANY_CHUNKS. 0 for no limit. Chunk level only.
        decide: "read" the answer from the log-probabilities after one prefill, or "generate" it. Document level only.
    """

    enabled: bool = True
    template: str = "auto"
    model: Mapping[str, Any] = field(default_factory=dict)
    max_prompt_tokens: int = 2048
    max_chunk_tokens: int = 1500
    max_new_tokens: int = 256
    max_chunks: int = 512
    decide: str = "read"

    def __post_init__(self) -> None:
        check_least(self, 1, "max_prompt_tokens", "max_chunk_tokens", "max_new_tokens")
        check_least(self, 0, "max_chunks")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """When an edit is refused: a named policy of `spark_prox.programs` and overrides of its fields."""

    name: str = "default"
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a job needs to know.

    Attributes:
        warehouse: directory or URI that holds the tables, or `catalog:<schema>` for tables of a catalog.
        input: what to read.
        filters: which documents are dropped before a model sees them.
        model: the refining model of both levels; `doc.model` and `chunk.model` override it.
        dialect: spelling of the programs: prox, refinex, ultrax or rescraper.
        annotate: how jobs/annotate.py asks and checks.
        guard: when a run that goes wrong stops.
        lease: how jobs on the same tables keep out of each other's way.
        export: what jobs/export.py writes.
        progress: how a run tells what it does while it runs.
        count_tokens: store token counts of the text before and after, by the chunk model's tokenizer.
        spark: settings for the Spark session that are not given to spark-submit.
        show_example: end the job by printing one document before and after.
    """

    warehouse: str = "warehouse"
    input: InputSpec | None = None
    filters: FiltersConfig = FiltersConfig()  # noqa: RUF009 - frozen
    model: ModelSpec = ModelSpec()  # noqa: RUF009 - frozen
    doc: StageConfig = StageConfig(max_new_tokens=8)
    chunk: StageConfig = StageConfig()
    dialect: str = "prox"
    policy: PolicyConfig = PolicyConfig()
    placement: PlacementConfig = PlacementConfig()  # noqa: RUF009 - frozen
    annotate: AnnotateConfig = AnnotateConfig()  # noqa: RUF009 - frozen
    guard: GuardConfig = GuardConfig()  # noqa: RUF009 - frozen
    lease: LeaseConfig = LeaseConfig()  # noqa: RUF009 - frozen
    export: ExportConfig = ExportConfig()  # noqa: RUF009 - frozen
    progress: ProgressConfig = ProgressConfig()  # noqa: RUF009 - frozen
    count_tokens: bool = True
    spark: Mapping[str, Any] = field(default_factory=dict)
    show_example: bool = False

    def stage(self, name: str) -> StageConfig:
        """The configuration of level "doc" or "chunk"."""
        return self.doc if name == "doc" else self.chunk

    def stage_model(self, name: str) -> ModelSpec:
        """`model` with the overrides of one level."""
        overrides = self.stage(name).model
        merged = {**as_mapping(self.model), **overrides}
        return build(ModelSpec, merged, f"{name}.model")


def load_config(
    path: str | Path | None, overrides: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read a configuration file and apply overrides.

    Args:
        path: a YAML file; None for the defaults.
        overrides: `key=value` strings; keys are dotted (`chunk.max_chunk_tokens=1000`), values are YAML.
        base: values that lie under the overrides and over the file, nested; None values are skipped.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, DIALECT_UNKNOWN,
            POLICY_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE, WAREHOUSE_BAD_NAME, WAREHOUSE_IN_INPUT.
    """
    tree = read_tree(path, overrides, base)
    config = build(RunConfig, tree, "")
    for stage in ("doc", "chunk"):
        config.stage_model(stage)  # an unknown key in doc.model or chunk.model is an error now, not in the stage
        if config.stage(stage).decide not in ("read", "generate"):
            raise bad_value(f"{stage}.decide", config.stage(stage).decide, "read or generate")
    _check_names(config)
    return config


def _check_names(config: RunConfig) -> None:
    """Check the names and the places that a run would otherwise fail on after it has begun."""
    dialect_for(config.dialect)
    policy_for(config.policy.name, **{str(name): value for name, value in config.policy.overrides.items()})
    if not config.warehouse.strip():
        raise bad_value("warehouse", config.warehouse, "a directory, a URI or catalog:SCHEMA")
    schema_of(config.warehouse)
    if config.input is not None:
        check_apart(config.input.path, config.warehouse)
    for key, value in config.spark.items():
        if not isinstance(key, str) or not key.startswith("spark."):
            raise bad_value(f"spark.{str(key)[:80]}", value, "a setting whose name begins with 'spark.'")
        if not isinstance(value, (str, int, float, bool)):
            raise bad_value(f"spark: {key[:80]}", value, "a text, a number, true or false")


def config_as_json(config: RunConfig) -> str:
    """The whole configuration as canonical JSON, for the `runs` table; Spark settings that are secret are hidden."""
    tree = dataclasses.asdict(config)
    tree["spark"] = {key: _HIDDEN if _SECRET.search(key) else value for key, value in config.spark.items()}
    return json.dumps(tree, sort_keys=True, default=str, ensure_ascii=False)
