"""Pins a run's models and tells their revisions: on the driver, before anything is generated. Knows no Spark."""

from __future__ import annotations

from dataclasses import replace

from spark_prox.config.model import ModelSpec
from spark_prox.engines.registry import ENGINES
from spark_prox.errors import ModelError
from spark_prox.keys import digest
from spark_prox.model_names import HubModel, pinned_model
from spark_prox.models import model_fingerprint, pinned_path

__all__ = ["model_revision", "pinned_spec"]


def pinned_spec(model: ModelSpec) -> ModelSpec:
    """The same with a name that means the same files on every host. Errors as in `pinned_path`."""
    kind = ENGINES.get(model.engine)
    path = pinned_path(model.path, tokenizer_only=kind is not None and not kind.reads_weights)
    return model if path == model.path else replace(model, path=path)


def model_revision(model: ModelSpec) -> str:
    """The name of a model's weights in the tables.

    Raises:
        ModelError: MODEL_NO_REVISION for a served model of which nothing is known.
    """
    if model.is_scripted:
        return "scripted-" + digest([model.script, model.script_margin])
    kind = ENGINES.get(model.engine)
    if kind is not None and not kind.reads_weights and not model.revision:
        raise ModelError(
            "MODEL_NO_REVISION",
            "A served model has no files to tell its version from.",
            "Set model.revision to what identifies its weights.",
        )
    pinned = pinned_model(model.path)
    commit = pinned.revision if isinstance(pinned, HubModel) else ""
    return model.revision or commit or model_fingerprint(model.path)
