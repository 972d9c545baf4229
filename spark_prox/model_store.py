"""Fetches models that are folders of an object store or of HDFS into a cache of this host, each once.

The driver lists a folder; the hash of names, sizes and times is the pin that executors get. One process of a host
downloads into a draft, which takes its place in one step; a host that has a pinned folder asks nobody. How S3 and HDFS
are reached is set once a process, see `use_stores`; what pyarrow knows of other stores lies in the environment.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from spark_prox.errors import ModelError, ProxError
from spark_prox.host_lock import host_lock
from spark_prox.model_errors import FetchErrors
from spark_prox.model_names import StoredModel
from spark_prox.sources.object_store import ObjectStores, read_by_hadoop
from spark_prox.sources.store_folder import StoredFile, stored_files

__all__ = ["STORES_PROPERTY", "pinned_stored_model", "stored_directory", "use_stores"]

STORES_PROPERTY = "spark_prox.secret.stores"
"""The local property that carries the settings to tasks; Spark hides what is called secret."""

_SMALL = (".json", ".model", ".npz", ".txt", ".jinja")
_WEIGHTS = ".safetensors"
_OLD_WEIGHTS = ".bin"
_BLOCK = 8 << 20
_SAID = re.compile(r"AWS Error ([A-Z][A-Z_]+)")
# Wrong keys are as much a refusal as rights that are missing.
_REFUSED = re.compile(
    r"AWS Error (?:ACCESS_DENIED|INVALID_(?:ACCESS|SIGN|CLIENT)\w*|SIGNATURE_\w+|\w*(?:EXPIRED|TOKEN)\w*)|status 40[13]"
)
_stores = ObjectStores()


def use_stores(stores: ObjectStores) -> None:
    """Set how this process reaches object stores from now on."""
    global _stores  # noqa: PLW0603 - set once a process, before the first model is fetched
    _stores = stores


def pinned_stored_model(model: StoredModel) -> StoredModel:
    """The same with the hash of what the folder holds now.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE.
    """
    with _told(model):
        return replace(model, listing=_hash(_list(model)))


@lru_cache(maxsize=64)
def stored_directory(model: StoredModel) -> Path:
    """The folder of a pinned model in the cache of this host; downloads it if it is not there.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_GATED, MODEL_OFFLINE, MODEL_NO_SPACE; MODEL_CHANGED where the folder no
            longer holds what the driver saw.
    """
    name = hashlib.sha256(model.uri.encode()).hexdigest()[:16]
    folder = _cache() / f"{name}-{model.listing}{'-tokenizer' if model.tokenizer_only else ''}"
    if folder.is_dir():
        return folder
    with _told(model), host_lock(folder.with_suffix(".lock")):
        if not folder.is_dir():  # another process may have been first
            _download(model, folder)
    return folder


def _download(model: StoredModel, folder: Path) -> None:
    files = _list(model)
    if _hash(files) != model.listing:
        raise ModelError(
            "MODEL_CHANGED",
            f"The folder {model.uri!r} has changed since the job began.",
            "Start the job again; keep the files of a model in use as they are.",
        )
    wanted = _wanted(files, tokenizer_only=model.tokenizer_only)
    _errors(model).check_space(sum(file.size for file in wanted), folder.parent)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        for file in wanted:
            with _stores.open(file.uri) as source, (draft / file.name).open("wb") as target:
                shutil.copyfileobj(source, target, _BLOCK)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _list(model: StoredModel) -> list[StoredFile]:
    """The files of a folder by name, without those of folders in it."""
    files = stored_files(_stores, model.uri)
    if not files:
        raise FileNotFoundError(errno.ENOENT, "the folder holds no files")
    return files


def _hash(files: Sequence[StoredFile]) -> str:
    digest = hashlib.sha256()
    for file in _wanted(files, tokenizer_only=False):
        digest.update(f"{file.name}|{file.size}|{file.modified_ns}\n".encode())
    return digest.hexdigest()[:32]


def _wanted(files: Sequence[StoredFile], *, tokenizer_only: bool) -> list[StoredFile]:
    """The files of a model: small ones, and weights in one format."""
    endings: tuple[str, ...] = _SMALL
    if not tokenizer_only:
        has_safetensors = any(file.name.endswith(_WEIGHTS) for file in files)
        endings = (*_SMALL, _WEIGHTS if has_safetensors else _OLD_WEIGHTS)
    return [file for file in files if file.name.endswith(endings)]


@lru_cache(maxsize=1)
def _cache() -> Path:
    """A folder of this user's that stays: SPARK_PROX_CACHE, one in the home, else one in the temporary directory."""
    given = os.environ.get("SPARK_PROX_CACHE") or Path.home() / ".cache" / "spark_prox"
    folder = Path(given).expanduser() / "models"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:  # executors of YARN and Kubernetes often have no home
        pass
    shared = Path(tempfile.gettempdir()) / f"spark_prox-{os.getuid()}-models"
    try:
        shared.mkdir(mode=0o700)
    except FileExistsError:
        status = shared.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            return Path(tempfile.mkdtemp(prefix="spark_prox-models-"))  # anybody can have made the other one
    return shared


def _errors(model: StoredModel) -> FetchErrors:
    return FetchErrors(shown=model.uri, cache_setting="SPARK_PROX_CACHE")


@contextmanager
def _told(model: StoredModel) -> Iterator[None]:
    """Tell what a store's client raises as one error with a code."""
    with _errors(model).told(lambda error: _reason(model, error)):
        yield


def _reason(model: StoredModel, error: Exception) -> ModelError:
    told, text = _errors(model), str(error)
    if isinstance(error, FileNotFoundError) or "NO_SUCH_BUCKET" in text:
        return told.missing(f"There is no model in {model.uri!r}.", "Give the URI of a folder with config.json.")
    hadoop = read_by_hadoop(model.uri)
    if isinstance(error, PermissionError) or _REFUSED.search(text):
        return told.refused(
            "The store",
            "Check its permissions." if hadoop else "Check the credentials (fs.s3a.*) and the bucket's policy.",
        )
    if isinstance(error, ProxError):
        return told.unreachable(f"cannot be read: {error.what.rstrip('.')}", error.todo)
    said = _SAID.search(text)
    why = text.partition(" on ")[0] if hadoop else said[1] if said else type(error).__name__
    return told.unreachable(
        f"cannot be read ({why})",
        "Check the URI and that its file system answers here." if hadoop else "Check the endpoint (fs.s3a.*).",
    )
