"""Configuration: a YAML file plus `key=value` overrides, read into frozen dataclasses.

An unknown key is an error that names the nearest valid one. Read on the driver only; executors get the dataclasses they
need, pickled. Knows nothing of Spark.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from spark_prox.annotation.settings import AnnotateConfig
from spark_prox.engines.spec import ModelSpec
from spark_prox.errors import ConfigError
from spark_prox.guard import GuardConfig
from spark_prox.lease_holder import LeaseConfig
from spark_prox.sources.spec import InputSpec

__all__ = ["PlacementConfig", "PolicyConfig", "RunConfig", "StageConfig", "config_as_json", "load_config"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of ProX: "doc" keeps or drops documents, "chunk" edits what was kept.

    Attributes:
        enabled: run the stage.
        template: prompt template; "auto" takes the embedded refiner's own for it and the Llama-2 one otherwise.
        model: overrides of the top-level `model` keys, for example `{path: /models/web-doc-refining-lm}`.
        max_prompt_tokens: context window that a prompt and its answer share, in tokens.
        max_chunk_tokens: budget of the numbered lines of one chunk, in tokens (ProX: 1,500).
        max_new_tokens: most tokens decoded for one program (ProX: 256 for chunks).
        decide: "read" the answer from the log-probabilities after one prefill, or "generate" it. Document stage only.
    """

    enabled: bool = True
    template: str = "auto"
    model: Mapping[str, Any] = field(default_factory=dict)
    max_prompt_tokens: int = 2048
    max_chunk_tokens: int = 1500
    max_new_tokens: int = 256
    decide: str = "read"


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """When an edit is refused: a named policy of `spark_prox.programs` and overrides of its fields."""

    name: str = "default"
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlacementConfig:
    """Where generation runs and in what portions.

    Attributes:
        gpus_per_task: 0 for no GPU, 1 for one engine per GPU, 0.5 for two engines on each. Not under `local[*]`.
        cpus_per_task: CPU cores of one generating task.
        partitions: tasks of one generating batch; 0 means one for each core or GPU slot that Spark reports.
        batch_documents: documents generated and stored per commit: what a killed run can lose at most.
        arrow_batch_rows: most documents in one Arrow batch.
        arrow_batch_bytes: most bytes in one Arrow batch.
    """

    gpus_per_task: float = 0.0
    cpus_per_task: int = 1
    partitions: int = 0
    batch_documents: int = 50_000
    arrow_batch_rows: int = 256
    arrow_batch_bytes: int = 32 << 20


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a job needs to know.

    Attributes:
        warehouse: directory or URI that holds the tables, or `catalog:<schema>` for tables of a catalog.
        input: what to read.
        model: the refining model of both stages; `doc.model` and `chunk.model` override it.
        dialect: spelling of the programs: prox, refinex or ultrax.
        annotate: how jobs/annotate.py asks and checks.
        guard: when a run that goes wrong stops.
        lease: how jobs on the same tables keep out of each other's way.
        count_tokens: store token counts of the text before and after, by the chunk model's tokenizer.
        spark: settings for the Spark session that are not given to spark-submit.
        show_example: end the job by printing one document before and after.
    """

    warehouse: str = "warehouse"
    input: InputSpec | None = None
    model: ModelSpec = ModelSpec()  # noqa: RUF009 - frozen
    doc: StageConfig = StageConfig(max_new_tokens=8)
    chunk: StageConfig = StageConfig()
    dialect: str = "prox"
    policy: PolicyConfig = PolicyConfig()
    placement: PlacementConfig = PlacementConfig()
    annotate: AnnotateConfig = AnnotateConfig()  # noqa: RUF009 - frozen
    guard: GuardConfig = GuardConfig()  # noqa: RUF009 - frozen
    lease: LeaseConfig = LeaseConfig()  # noqa: RUF009 - frozen
    count_tokens: bool = True
    spark: Mapping[str, Any] = field(default_factory=dict)
    show_example: bool = False

    def stage(self, name: str) -> StageConfig:
        """The configuration of stage "doc" or "chunk"."""
        return self.doc if name == "doc" else self.chunk

    def stage_model(self, name: str) -> ModelSpec:
        """`model` with the overrides of one stage."""
        overrides = self.stage(name).model
        merged = {**_as_mapping(self.model), **overrides}
        return _build(ModelSpec, merged, f"{name}.model")


def load_config(
    path: str | Path | None, overrides: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read a configuration file and apply overrides.

    Args:
        path: a YAML file; None for the defaults.
        overrides: `key=value` strings; keys are dotted (`chunk.max_chunk_tokens=1000`), values are YAML.
        base: values that lie under the overrides and over the file, nested; None values are skipped.

    Raises:
        ConfigError: CONFIG_NOT_FOUND, CONFIG_SYNTAX, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_yaml(Path(path))
    for name, value in (base or {}).items():
        _set(tree, name.split("."), value, name)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(
                "CONFIG_BAD_VALUE",
                f"--set {override!r} is not key=value.",
                "Example: --set doc.enabled=false",
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        _set(tree, key.strip().split("."), value, key.strip())
    config = _build(RunConfig, tree, "")
    for stage in ("doc", "chunk"):
        config.stage_model(stage)  # an unknown key in doc.model or chunk.model is an error now, not in the stage
        if config.stage(stage).decide not in ("read", "generate"):
            raise _bad_value(f"{stage}.decide", config.stage(stage).decide, "read or generate")
    if config.placement.gpus_per_task < 0 or config.placement.batch_documents < 1 or config.placement.cpus_per_task < 1:
        raise _bad_value(
            "placement", _as_mapping(config.placement), "no negative number, at least one document and CPU"
        )
    return config


def config_as_json(config: RunConfig) -> str:
    """The whole configuration as canonical JSON, for the `runs` table."""
    return json.dumps(dataclasses.asdict(config), sort_keys=True, default=str, ensure_ascii=False)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            "CONFIG_NOT_FOUND",
            f"There is no configuration file {str(path)!r}.",
            "Start from conf/local.yaml.",
        )
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} is not YAML{where}.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("CONFIG_SYNTAX", f"{str(path)!r} holds a {type(tree).__name__}, not a mapping of keys.")
    return tree


def _set(tree: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    for key in keys[:-1]:
        below = tree.get(key)
        if below is None:
            below = tree[key] = {}
        if not isinstance(below, dict):
            raise _bad_value(name, value, f"{key!r} to be a section")
        tree = below
    tree[keys[-1]] = value


def _build(cls: type[T], tree: object, prefix: str) -> T:
    """Build a dataclass from a mapping, checking keys and types."""
    if not isinstance(tree, Mapping):
        raise _bad_value(prefix or "the file", tree, "a mapping of keys")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if key not in fields:
            near = difflib.get_close_matches(str(key), list(fields), n=1, cutoff=0.5)
            hint = f"Did you mean {(prefix + '.' if prefix else '') + near[0]!r}?" if near else ""
            raise ConfigError(
                "CONFIG_UNKNOWN_KEY",
                f"Unknown configuration key {name!r}.",
                hint or f"Valid: {', '.join(fields)}.",
            )
        default = fields[key].default
        if dataclasses.is_dataclass(default) and not isinstance(default, type) and isinstance(value, Mapping):
            # A partial section keeps this section's own defaults.
            values[key] = _convert(hints[key], {**_as_mapping(default), **value}, name)
        else:
            values[key] = _convert(hints[key], value, name)
    try:
        return cls(**values)
    except TypeError:
        missing = [
            f"{prefix}.{f.name}" if prefix else f.name
            for f in fields.values()
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in values
        ]
        raise ConfigError("CONFIG_MISSING_KEY", f"Missing configuration: {', '.join(missing)}.") from None
    except ValueError as error:
        raise ConfigError("CONFIG_BAD_VALUE", f"{prefix or 'configuration'}: {error}.") from None


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        if value is None:
            return None
        return _convert(choices[0], value, name)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise _bad_value(name, value, "one of " + ", ".join(map(str, typing.get_args(hint))))
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, {} if value is None else value, name)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if value is not None and not isinstance(value, Mapping):
            raise _bad_value(name, value, "a mapping of keys")
        return dict(value or {})
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise _bad_value(name, value, f"a {hint.__name__}")
    return value


def _as_mapping(spec: Any) -> dict[str, Any]:
    return {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}


def _bad_value(name: str, value: object, expected: str) -> ConfigError:
    shown = repr(value)
    return ConfigError("CONFIG_BAD_VALUE", f"{name} is {shown[:80]}; expected {expected}.")
