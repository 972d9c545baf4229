"""Names of models that are no folder of this machine: ids of the model hub, and URIs of folders in a store.

A name is pinned on the driver: from then on it says exactly which files are meant, so that every executor loads the
same. Two texts are pinned names, and only those are fetched on an executor:

    gair-prox/web-chunk-refining-lm@<commit>       `#tokenizer` behind it leaves the weights out
    s3a://bucket/models/refiner#<listing>

Knows the forms of names alone; `model_hub` and `model_store` fetch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HubModel", "StoredModel", "hub_model", "pinned_model", "shown_name", "stored_model"]

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_PINNED_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@([0-9a-f]{40})(#tokenizer)?")
_URI = re.compile(r"[a-z][a-z0-9+.-]+://.+", re.IGNORECASE)
_PINNED_URI = re.compile(r"([a-z][a-z0-9+.-]+://.+)#([0-9a-f]{32})(#tokenizer)?", re.IGNORECASE)
_TOKENIZER = "#tokenizer"


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model of the hub.

    Attributes:
        revision: a branch, a tag or a commit; the full commit in a pinned name.
        tokenizer_only: leave the weights out, where a server holds them.
    """

    repository: str
    revision: str = "main"
    tokenizer_only: bool = False

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}{_TOKENIZER if self.tokenizer_only else ''}"


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A folder of a store.

    Attributes:
        listing: hash of the names, sizes and times of its files; "" until it is pinned.
    """

    uri: str
    listing: str = ""
    tokenizer_only: bool = False

    def __str__(self) -> str:
        return f"{self.uri}#{self.listing}{_TOKENIZER if self.tokenizer_only else ''}"


def hub_model(name: str) -> HubModel | None:
    """The model of the hub that a name means, pinned or not; None for what is a folder here, and for what is no id."""
    if pinned := _PINNED_ID.fullmatch(name):
        return HubModel(repository=pinned[1], revision=pinned[2], tokenizer_only=bool(pinned[3]))
    found = _HUB_ID.fullmatch(name)
    if found is None or Path(name).is_dir():
        return None
    return HubModel(repository=found[1], revision=found[2] or "main")


def stored_model(name: str) -> StoredModel | None:
    """The folder of a store that a name means, pinned or not; None for what is no URI, or one of a local file."""
    if name.lower().startswith("file://"):
        return None
    if pinned := _PINNED_URI.fullmatch(name):
        return StoredModel(uri=pinned[1], listing=pinned[2], tokenizer_only=bool(pinned[3]))
    return StoredModel(uri=name.rstrip("/")) if _URI.fullmatch(name) else None


def pinned_model(name: str) -> HubModel | StoredModel | None:
    """The model that a pinned name means; None for any other name."""
    if _PINNED_ID.fullmatch(name):
        return hub_model(name)
    return stored_model(name) if _PINNED_URI.fullmatch(name) else None


def shown_name(name: str) -> str:
    """The name without the pin, for tables and messages."""
    model = pinned_model(name)
    if model is None:
        return name
    return model.repository if isinstance(model, HubModel) else model.uri
