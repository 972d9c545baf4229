"""Fetches models of the hub with huggingface_hub: into its own cache, with its token, from HF_ENDPOINT.

The driver asks which commit a revision is; everybody else takes that commit. A host downloads it once, whichever of its
processes comes first, and one that has it asks nobody. Knows no Spark and loads no model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.errors import ModelError
from spark_prox.host_lock import host_lock
from spark_prox.model_errors import FetchErrors
from spark_prox.model_names import HubModel

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["hub_directory", "pinned_hub_model"]

_SMALL = ("*.json", "*.model", "*.npz", "*.txt", "*.jinja")
_WEIGHTS = "*.safetensors"
_OLD_WEIGHTS = "*.bin"  # the same weights as pickles, in checkpoints that have no safetensors
_NO_FOLDERS = ["*/*"]  # other formats lie in folders: onnx/, original/, checkpoints


@lru_cache(maxsize=64)
def pinned_hub_model(model: HubModel) -> HubModel:
    """The same with the commit that its revision is now; without a network, the one that the cache knows.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE.
    """
    from huggingface_hub import snapshot_download

    with _told(model):
        try:
            commit = _api().model_info(model.repository, revision=model.revision).sha
        except Exception as error:  # HTTP errors, and those of the connection, which have a tree of their own
            if _is_refusal(error):
                raise
            try:
                found = snapshot_download(
                    model.repository, revision=model.revision, local_files_only=True, allow_patterns=["config.json"]
                )
            except OSError:
                raise error from None
            commit = Path(found).name
    assert commit
    return HubModel(repository=model.repository, revision=commit, tokenizer_only=model.tokenizer_only)


@lru_cache(maxsize=64)
def hub_directory(model: HubModel) -> Path:
    """The folder of a pinned model in the cache of this host; downloads what is missing.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE, MODEL_NO_SPACE.
    """
    from huggingface_hub import constants

    with _told(model):
        if (found := _cached(model)) is not None:
            return found
        cache = Path(constants.HF_HUB_CACHE)
        with host_lock(cache / ".locks" / f"spark_prox--{model.repository.replace('/', '--')}--{model.revision}.lock"):
            # Another process may have been first; then everything is there.
            return _cached(model) or _download(model)


def _cached(model: HubModel) -> Path | None:
    """Its folder, where the cache has all of its files."""
    try:
        folder = _snapshot(model, _WEIGHTS, ask=False)
        if _lacks_weights(model, folder):
            folder = _snapshot(model, _OLD_WEIGHTS, ask=False)
    except FileNotFoundError:
        return None
    return folder if (folder / "config.json").is_file() else None


def _download(model: HubModel) -> Path:
    _check_space(model, _WEIGHTS)
    folder = _snapshot(model, _WEIGHTS)
    if _lacks_weights(model, folder):
        _check_space(model, _OLD_WEIGHTS)
        folder = _snapshot(model, _OLD_WEIGHTS)
    return folder


def _lacks_weights(model: HubModel, folder: Path) -> bool:
    return not model.tokenizer_only and not any(folder.glob(_WEIGHTS))


def _snapshot(model: HubModel, weights: str, *, ask: bool = True) -> Path:
    """The model's folder in the cache, with these weights; without `ask` only if nothing is missing."""
    from huggingface_hub import snapshot_download

    found = snapshot_download(
        model.repository,
        revision=model.revision,
        allow_patterns=_patterns(model, weights),
        ignore_patterns=_NO_FOLDERS,
        local_files_only=not ask,
        endpoint=_endpoint(),
    )
    return Path(found)


def _check_space(model: HubModel, weights: str) -> None:
    from huggingface_hub import constants, snapshot_download

    files = snapshot_download(
        model.repository,
        revision=model.revision,
        allow_patterns=_patterns(model, weights),
        ignore_patterns=_NO_FOLDERS,
        endpoint=_endpoint(),
        dry_run=True,
    )
    size = sum(file.file_size or 0 for file in files if file.will_download)
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    _errors(model).check_space(size, cache)


def _patterns(model: HubModel, weights: str) -> list[str]:
    return [*_SMALL, *(() if model.tokenizer_only else (weights,))]


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), library_name="spark_prox")


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _errors(model: HubModel) -> FetchErrors:
    return FetchErrors(shown=f"{model.repository}@{model.revision}", cache_setting="HF_HOME")


@contextmanager
def _told(model: HubModel) -> Iterator[None]:
    """Tell what the hub's client raises as one error with a code."""
    with _errors(model).told(lambda error: _reason(model, error)):
        yield


def _is_refusal(error: Exception) -> bool:
    """True where the hub was reached and said no; nothing that the cache has changes that."""
    from huggingface_hub import errors

    return isinstance(error, (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.DisabledRepoError))


def _reason(model: HubModel, error: Exception) -> ModelError:
    from huggingface_hub import errors

    told = _errors(model)
    if isinstance(error, errors.GatedRepoError):
        return told.refused(
            "The hub", "Accept its terms on its page, and set HF_TOKEN (on the executors: spark.executorEnv.HF_TOKEN)."
        )
    if isinstance(error, (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError)):
        what = "revision" if isinstance(error, errors.RevisionNotFoundError) else "model"
        return told.missing(
            f"There is no folder {model.repository!r} here, and the hub has no such {what} ({told.shown!r}).",
            "Check the spelling; a private model needs HF_TOKEN.",
        )
    return told.unreachable(
        f"the hub cannot be reached ({type(error).__name__})",
        "Download it before (hf download), check HF_ENDPOINT, HF_HUB_OFFLINE and the proxy; a folder needs its path.",
    )
