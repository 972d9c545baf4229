"""Writers of a level's programs: a language model or a heuristic. Each is a type; nothing else asks which it is.

A writer says what identifies it in the tables, how sure it must be, whose tokenizer counts its tokens, and what runs on
the executors. Knows configuration; knows no Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig, StageConfig
from spark_prox.documents import LEVELS, Level
from spark_prox.engines.registry import ENGINES, HEURISTIC
from spark_prox.errors import ConfigError
from spark_prox.filters import filter_hashes
from spark_prox.functions import Functions, PandasFunction
from spark_prox.heuristics.writers import heuristic_margins, heuristic_revision
from spark_prox.keys import ProgramKey, digest
from spark_prox.model_names import shown_name, stored_model
from spark_prox.model_pinning import model_revision, pinned_spec
from spark_prox.models import (
    EMBEDDED,
    MARGIN_FIELDS,
    adapter_fingerprint,
    matrix_parameters,
    model_directory,
    recommended_margins,
)
from spark_prox.programs import Policy, policy_for
from spark_prox.programs.spelling import removals_dialect
from spark_prox.prompts.builder import PromptSpec, builder_for, kind_of
from spark_prox.prompts.templates import template_for

__all__ = [
    "HeuristicWriter",
    "ModelWriter",
    "Writer",
    "needs_store",
    "one_pass",
    "policy_of",
    "settings_hash",
    "writer_of",
    "writers_of",
]


class Writer(Protocol):
    """The writer of one level's programs.

    Attributes:
        level: which.
        model: the section of the configuration that names it.
        prompt: how its prompts are made; None for one that has none.
        tokenizer: the model whose tokenizer counts the text before and after.
    """

    @property
    def level(self) -> Level: ...
    @property
    def model(self) -> ModelSpec: ...
    @property
    def prompt(self) -> PromptSpec | None: ...
    @property
    def tokenizer(self) -> str: ...

    def check(self) -> None:
        """Find out that its parts fit together, before the first document.

        Raises:
            ModelError: what is missing or does not fit.
        """
        ...

    def revision(self) -> str:
        """The name of its version in the tables.

        Raises:
            ModelError: its files are missing; MODEL_NO_REVISION for a served model of which nothing is known.
        """
        ...

    def key(self) -> ProgramKey:
        """The hashed settings that decide its programs; reads its files once to hash them. Errors as `revision`."""
        ...

    def margins(self) -> dict[str, float]:
        """How sure it must be, by field of the policy; empty where it does not say."""
        ...

    def flop_per_token(self) -> float | None:
        """None for what has no size, or an unknown one."""
        ...

    def function(self, functions: Functions, *, one_pass: bool = False) -> PandasFunction:
        """The function that runs on the executors. See `one_pass`."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelWriter:
    """A language model, asked through an engine."""

    level: Level
    model: ModelSpec
    prompt: PromptSpec

    @property
    def tokenizer(self) -> str:
        """See `Writer`: its own."""
        return self.model.path

    def check(self) -> None:
        """See `Writer`: template, tokenizer and budgets."""
        builder_for(self.prompt)

    def revision(self) -> str:
        """See `Writer`."""
        return model_revision(self.model)

    def key(self) -> ProgramKey:
        """See `Writer`."""
        kind = ENGINES.get(self.model.engine)
        model_directory(self.model.path, weights=kind is None or kind.reads_weights)
        template = self.prompt.template
        parameters = kind_of(self.prompt).parameters(self.prompt) | _limits(self.prompt) | _model_parameters(self.model)
        parameters |= _spelling(self.level, self.prompt.dialect)
        return ProgramKey(
            stage=self.level,
            model=shown_name(self.model.path),
            model_revision=self.revision(),
            template=f"{template.name}@{template.version}",
            template_hash=template.fingerprint,
            generation_hash=digest(parameters),
        )

    def margins(self) -> dict[str, float]:
        """See `Writer`: as its folder says."""
        return recommended_margins(self.model.path)

    def flop_per_token(self) -> float | None:
        """See `Writer`: twice its parameters (ProX, arXiv 2409.17115, appendix B)."""
        parameters = None if self.model.is_scripted else matrix_parameters(self.model.path)
        return None if parameters is None else 2.0 * parameters

    def function(self, functions: Functions, *, one_pass: bool = False) -> PandasFunction:
        """See `Writer`."""
        return functions.generate_programs(stage=self.level, model=self.model, prompt=self.prompt, one_pass=one_pass)


@dataclass(frozen=True, kw_only=True)
class HeuristicWriter:
    """Rules or a classifier, see `spark_prox.heuristics.writers`: no prompt and no engine; its revision is its key."""

    level: Level
    model: ModelSpec
    prompt: None = None
    dialect: str = "prox"

    @property
    def tokenizer(self) -> str:
        """See `Writer`: the embedded refiner's for all of them, so that they can be compared."""
        return EMBEDDED

    def check(self) -> None:
        """See `Writer`: `key` finds all there is to find."""

    def revision(self) -> str:
        """See `Writer`."""
        return self.model.revision or heuristic_revision(self.model.path)

    def key(self) -> ProgramKey:
        """See `Writer`."""
        return ProgramKey(
            stage=self.level,
            model=self.model.path,
            model_revision=self.revision(),
            template="author@1",
            template_hash=digest("author@1"),
            generation_hash=digest(_spelling(self.level, self.dialect)),
        )

    def margins(self) -> dict[str, float]:
        """See `Writer`: from `.thresholds.json` beside a classifier."""
        return heuristic_margins(self.model.path)

    def flop_per_token(self) -> None:
        """See `Writer`."""
        return

    def function(self, functions: Functions, *, one_pass: bool = False) -> PandasFunction:
        """See `Writer`."""
        return functions.write_programs(stage=self.level, heuristic=self.model.path, dialect=self.dialect)


def writer_of(config: RunConfig, level: Level) -> Writer:
    """The writer that the configuration names for a level.

    A model of the hub or of a store is pinned here: every executor loads the files that this process found.

    Raises:
        ConfigError: TEMPLATE_UNKNOWN, TEMPLATE_WRONG_STAGE, TEMPLATE_WRONG_DIALECT, DIALECT_NOT_WRITTEN.
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE, MODEL_NO_SPACE, MODEL_WRONG_LEVEL, MODEL_BAD_METADATA.
    """
    settings, model = config.stage(level), config.stage_model(level)
    if model.engine == HEURISTIC:
        return HeuristicWriter(level=level, model=model, dialect=removals_dialect(config.dialect))
    model = pinned_spec(model)
    prompt = PromptSpec(
        template=template_for(settings.template, level, model.path, config.dialect),
        model_path=model.path,
        max_prompt_tokens=settings.max_prompt_tokens,
        max_chunk_tokens=settings.max_chunk_tokens,
        max_new_tokens=settings.max_new_tokens,
        decide=settings.decide,
        max_chunks=settings.max_chunks if level == "chunk" else 0,
    )
    if kind_of(prompt).reads_lines and not model.is_scripted:
        prompt = replace(prompt, dialect=removals_dialect(config.dialect))
    if model.constrain and prompt.template.dialect:
        raise ConfigError(
            "TEMPLATE_WRONG_DIALECT",
            f"model.constrain: {model.constrain} knows ProX's calls, and template {prompt.template.name!r} asks for "
            f"programs in dialect {prompt.template.dialect}.",
            "Leave model.constrain empty.",
        )
    return ModelWriter(level=level, model=model, prompt=prompt)


def writers_of(config: RunConfig) -> dict[Level, Writer]:
    """The writers of the levels that are on. Errors as in `writer_of`."""
    return {level: writer_of(config, level) for level in LEVELS if config.stage(level).enabled}


def needs_store(config: RunConfig) -> bool:
    """True if a writer's files lie in a store, so that the session has to be there before they are looked at."""
    models = [config.stage_model(level) for level in LEVELS if config.stage(level).enabled]
    return any(model.engine != HEURISTIC and stored_model(model.path) is not None for model in models)


def one_pass(writers: Mapping[Level, Writer]) -> bool:
    """One prompt answers both levels when one model writes for both from prompts that hold the whole page."""
    doc, chunk = writers.get("doc"), writers.get("chunk")
    if doc is None or chunk is None or doc.prompt is None or chunk.prompt is None or doc.model != chunk.model:
        return False
    return not doc.model.is_scripted and kind_of(doc.prompt).one_pass and kind_of(chunk.prompt).one_pass


def policy_of(config: RunConfig) -> Policy:
    """The policy that the configuration names, with its overrides.

    Policy `default` takes how sure a writer must be from the writer, where it says so and the overrides do not.

    Raises:
        ConfigError: POLICY_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
    """
    overrides = dict(config.policy.overrides)
    margins: dict[str, object] = {}
    if config.policy.name == "default":
        for level, writer in writers_of(config).items():
            fields = MARGIN_FIELDS[level]
            if not {*fields} & {*overrides}:
                margins |= {name: value for name, value in writer.margins().items() if name in fields}
    return policy_for(config.policy.name, **{**margins, **overrides})


def settings_hash(config: RunConfig) -> str:
    """A hash of what decides a row of `refined` beside the document: levels and filters that are on, the policy.

    Without filters it is what it was before there were any: rows that were stored then stay good.
    """
    keys = [writer.key().deciding() for writer in writers_of(config).values()]
    filters = list(filter_hashes(config.filters).values())
    deciding = [keys, policy_of(config).fingerprint(), config.dialect, config.count_tokens]
    return digest([*deciding, filters] if filters else deciding)


def _limits(spec: PromptSpec) -> dict[str, object]:
    """The default is left out: programs that were stored before there was a limit stay good."""
    if spec.template.stage == "doc" or spec.max_chunks == StageConfig().max_chunks:
        return {}
    return {"max_chunks": spec.max_chunks}


def _spelling(level: Level, dialect: str) -> dict[str, object]:
    """The spelling of chunk programs that are made of margins or rules; ProX's is left out, as it was always."""
    return {} if level == "doc" or dialect == "prox" else {"dialect": dialect}


def _model_parameters(model: ModelSpec) -> dict[str, object]:
    """Settings of the engine that change programs, where they are set."""
    parameters: dict[str, object] = {
        name: value for name in ("constrain", "quantization") if (value := getattr(model, name))
    }
    if model.adapter:
        parameters["adapter"] = adapter_fingerprint(model.adapter)
    return parameters
