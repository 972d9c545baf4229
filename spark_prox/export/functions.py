"""The callables of an export that run on executors, as its stage receives them; `udfs.export` has the only ones.

Typed here so that `spark_prox` need not import `udfs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from spark_prox.export.formats import ShardWriter
from spark_prox.export.placing import Placing
from spark_prox.export.shards import ShardName
from spark_prox.functions import ArrowFunction

__all__ = ["ExportFunctions"]


class _PlaceDocuments(Protocol):
    def __call__(self, *, placing: Placing) -> ArrowFunction: ...


class _ApplyRules(Protocol):
    def __call__(self, *, rules: str) -> ArrowFunction: ...


class _RemoveLines(Protocol):
    def __call__(self) -> ArrowFunction: ...


class _WriteShards(Protocol):
    def __call__(self, *, writer: ShardWriter, shards: Sequence[ShardName]) -> ArrowFunction: ...


@dataclass(frozen=True, kw_only=True)
class ExportFunctions:
    """Classes of frozen callables.

    Attributes:
        place_documents: over rows with doc_id, url, source; gives them with split, shard, place and copy.
        apply_rules: over rows with text; gives those that a rule set keeps, their lines as it leaves them.
        remove_lines: over rows with text and, last, line_program; gives them without it and the lines that it removes.
        write_shards: over documents in order of shard and place; gives (shard, record).
    """

    place_documents: _PlaceDocuments
    apply_rules: _ApplyRules
    remove_lines: _RemoveLines
    write_shards: _WriteShards
