"""What a program depends on, as hashes: the keys by which later runs tell what has to be done again.

Work is keyed by (document hash, model revision, template hash, generation parameters). The engine and its batching are
not part of it: they change speed, not meaning. Knows no Spark.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from spark_prox.config.model import ModelSpec
from spark_prox.config.run import RunConfig, StageConfig
from spark_prox.errors import ModelError
from spark_prox.heuristics.writers import author_margins, author_revision
from spark_prox.models import (
    MARGIN_FIELDS,
    adapter_fingerprint,
    model_directory,
    model_fingerprint,
    recommended_margins,
)
from spark_prox.programs import Policy, policy_for
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.templates import PromptTemplate, template_for

__all__ = ["STAGES", "StageKey", "digest", "model_revision", "policy_of", "prompt_spec", "settings_hash", "stage_key"]

Stage = Literal["doc", "chunk"]
STAGES: tuple[Stage, Stage] = ("doc", "chunk")


@dataclass(frozen=True, kw_only=True)
class StageKey:
    """What, besides the document, decides a stage's programs."""

    stage: Stage
    model: str
    model_revision: str
    template: str
    template_hash: str
    generation_hash: str


def digest(value: object) -> str:
    """SHA-256 of canonical JSON, first 16 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def prompt_spec(config: RunConfig, stage: Stage) -> PromptSpec:
    """The prompt settings of a stage.

    Raises:
        ConfigError: TEMPLATE_UNKNOWN, TEMPLATE_WRONG_STAGE.
    """
    settings = config.stage(stage)
    path = config.stage_model(stage).path
    return PromptSpec(
        template=template_for(settings.template, stage, path),
        model_path=path,
        max_prompt_tokens=settings.max_prompt_tokens,
        max_chunk_tokens=settings.max_chunk_tokens,
        max_new_tokens=settings.max_new_tokens,
        decide=settings.decide,
        max_chunks=settings.max_chunks if stage == "chunk" else 0,
    )


def stage_key(config: RunConfig, stage: Stage) -> StageKey:
    """The key of a stage; reads the model's files once to hash them.

    Raises:
        ModelError: the model directory is missing or incomplete.
    """
    model = config.stage_model(stage)
    if model.engine == "author":
        return _author_key(model, stage)
    spec = prompt_spec(config, stage)
    model_directory(model.path, weights=model.engine != "openai")
    return StageKey(
        stage=stage,
        model=model.path,
        model_revision=model_revision(model),
        template=f"{spec.template.name}@{spec.template.version}",
        template_hash=spec.template.fingerprint,
        generation_hash=digest(_generation_parameters(spec, spec.template, stage) | _model_parameters(model)),
    )


def policy_of(config: RunConfig) -> Policy:
    """The policy that the configuration names, with its overrides.

    Policy `default` takes how sure a model must be from the model itself, where it says so and the overrides do not.

    Raises:
        ConfigError: POLICY_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
    """
    margins: dict[str, object] = {}
    if config.policy.name == "default":
        for stage in STAGES:
            if config.stage(stage).enabled and not {*MARGIN_FIELDS[stage]} & {*dict(config.policy.overrides)}:
                recommended = _recommended_margins(config.stage_model(stage))
                margins |= {name: recommended[name] for name in MARGIN_FIELDS[stage] if name in recommended}
    return policy_for(config.policy.name, **{**margins, **dict(config.policy.overrides)})


def settings_hash(config: RunConfig) -> str:
    """What, besides the document, decides a row of `refined`: the keys of the enabled stages and the policy."""
    keys = [vars_of(stage_key(config, stage)) for stage in STAGES if config.stage(stage).enabled]
    return digest([keys, policy_of(config).fingerprint(), config.dialect, config.count_tokens])


def vars_of(key: StageKey) -> dict[str, str]:
    """The key's columns that decide, without the names that only describe."""
    return {
        "stage": key.stage,
        "model_revision": key.model_revision,
        "template_hash": key.template_hash,
        "generation_hash": key.generation_hash,
    }


def _author_key(model: ModelSpec, stage: Stage) -> StageKey:
    """An author that is no language model has no prompt and generates nothing: its revision says it all."""
    return StageKey(
        stage=stage,
        model=model.path,
        model_revision=model.revision or author_revision(model.path),
        template="author@1",
        template_hash=digest("author@1"),
        generation_hash=digest({}),
    )


def _recommended_margins(model: ModelSpec) -> dict[str, float]:
    return author_margins(model.path) if model.engine == "author" else recommended_margins(model.path)


def model_revision(model: ModelSpec) -> str:
    """What identifies a model's weights in the tables.

    Raises:
        ModelError: MODEL_NO_REVISION for a served model of which nothing is known.
    """
    if model.engine == "scripted":
        return "scripted-" + digest([model.script, model.script_margin])
    if model.engine == "openai" and not model.revision:
        raise ModelError(
            "MODEL_NO_REVISION",
            "A served model has no files to tell its version from.",
            "Set model.revision to what identifies its weights.",
        )
    return model.revision or model_fingerprint(model.path)


def _model_parameters(model: ModelSpec) -> dict[str, object]:
    """Settings of the engine that change programs, where they are set."""
    parameters: dict[str, object] = {
        name: value for name in ("constrain", "quantization") if (value := getattr(model, name))
    }
    if model.adapter:
        parameters["adapter"] = adapter_fingerprint(model.adapter)
    return parameters


def _generation_parameters(spec: PromptSpec, template: PromptTemplate, stage: Stage) -> dict[str, object]:
    # The default is left out: programs that were stored before there was a limit stay good.
    limit = {} if stage == "doc" or spec.max_chunks == StageConfig().max_chunks else {"max_chunks": spec.max_chunks}
    if template.kind == "compact":
        from spark_prox.prompts.compact import CompactPrompt

        return {"layout": CompactPrompt.NAME, "version": CompactPrompt.VERSION, **limit}
    if template.kind == "page":
        from spark_prox.prompts.page_prompt import PagePrompt

        return {"layout": PagePrompt.NAME, "version": PagePrompt.VERSION, **limit}
    parameters: dict[str, object] = {
        **limit,
        "max_prompt_tokens": spec.max_prompt_tokens,
        "max_new_tokens": spec.max_new_tokens,
    }
    if stage == "doc":
        parameters["decide"] = spec.decide
    else:
        parameters["max_chunk_tokens"] = spec.max_chunk_tokens
    return parameters
