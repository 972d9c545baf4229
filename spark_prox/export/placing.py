"""Where a document goes: its split, how often it is taken, its place in the shuffled order, its shard.

Everything is a hash of the seed and the document's id or host, so that it depends on no task, no order of rows and no
other document. Knows no file and no Spark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from spark_prox.annotation.labels import registered_host
from spark_prox.config.export import ExportConfig

__all__ = ["SPLITS_OF_EXPORT", "TRAIN", "VALIDATION", "Placing", "ShardRange", "shard_ranges"]

TRAIN, VALIDATION = "train", "validation"
SPLITS_OF_EXPORT = (TRAIN, VALIDATION)
_BITS = 63  # of a place in the order: a column of type long


class ShardRange(NamedTuple):
    """The shards of one split: numbers `first` to `first + size - 1` of the whole export."""

    split: str
    first: int
    size: int


def shard_ranges(counts: Mapping[str, int]) -> tuple[ShardRange, ...]:
    """The shards of all splits, numbered through; `counts` says how many each has."""
    ranges, first = [], 0
    for split in SPLITS_OF_EXPORT:
        if count := counts.get(split, 0):
            ranges.append(ShardRange(split, first, count))
            first += count
    return tuple(ranges)


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Places documents.

    Attributes:
        config: seed, share of hosts held out, mixture.
        ranges: the shards; () while they are still to be counted.
    """

    config: ExportConfig
    ranges: tuple[ShardRange, ...] = ()

    def split(self, doc_id: str, url: str | None) -> str:
        """The split of a document. All documents of a registered host are in one, so that no site is in two."""
        if not self.config.holdout:
            return TRAIN
        group = registered_host(url)
        held = self._share("split", f"host:{group}" if group else f"doc:{doc_id}") < self.config.holdout
        return VALIDATION if held else TRAIN

    def copies(self, doc_id: str, source: str | None, split: str) -> int:
        """How often a document is taken: the whole part of its source's weight, and the rest by chance of its hash."""
        weight = self.config.weight_of(source)
        if split == VALIDATION:
            weight = min(weight, 1.0)
        whole = int(weight)
        return whole + int(weight > whole and self._share("mixture", doc_id) < weight - whole)

    def place(self, doc_id: str, copy: int) -> int:
        """The place of a document's copy in the shuffled order, below 2**63."""
        return self._hash("order", f"{copy}:{doc_id}") >> (64 - _BITS)

    def shard(self, split: str, place: int) -> int:
        """The shard that holds a place of a split; -1 while there are none."""
        for name, first, size in self.ranges:
            if name == split:
                return first + (place * size >> _BITS)
        return -1

    def _share(self, purpose: str, text: str) -> float:
        return self._hash(purpose, text) / float(1 << 64)

    def _hash(self, purpose: str, text: str) -> int:
        key = f"{self.config.seed}/{purpose}/{text}".encode("utf-8", "replace")
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
