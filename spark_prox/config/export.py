"""What `jobs/export.py` writes: which corpus, in which format, how it is split, mixed and shuffled.

The section `export` of the configuration. Knows no table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spark_prox.config.limits import check_least

__all__ = ["EVERY_OTHER_SOURCE", "MAX_WEIGHT", "Corpus", "ExportConfig"]

EVERY_OTHER_SOURCE = "*"
"""The key of `mixture` for sources that it does not name."""
MAX_WEIGHT = 64.0
Corpus = Literal["raw", "rules", "doc", "chunk"]
"""The four corpora that ProX compares."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """One export.

    Attributes:
        corpus: `raw`, `rules`, `doc` or `chunk`: the four corpora that ProX compares (`--from`).
        to: directory or URI (s3a://, gs://, abfs://, hdfs://) that becomes the data set.
        format: parquet, jsonl, datatrove (also for nanotron), megatron or litgpt.
        seed: decides the order, the split and what a mixture takes: the same seed gives the same shards.
        shards: how many shards the training split has; None to cut it by `shard_bytes`.
        shard_bytes: bytes of text in a shard, about.
        holdout: share of hosts whose documents become the split `validation`; 0 for none.
        mixture: copies of a document by its source: 0.25 takes a quarter of them, 2 takes each twice, and the key `*`
            stands for sources that are not named. A document that is held out is never copied.
        tokenizer: model directory or `tokenizer.json`; needed by the token formats, counts tokens for the others.
        eos: the token that ends a document; "" takes the tokenizer's own.
        columns: columns of `documents` that go along, besides url, source and crawl.
        rules: what `--from rules` means: `verdicts` of filter stages, or a rule set: c4, gopher or fineweb. `auto`
            takes the verdicts where the warehouse has them, and c4 where it does not.
        push_to: repository of a hub, OWNER/NAME, that gets the files at the end; "" for none.
    """

    corpus: Corpus = "chunk"
    to: str = ""
    format: Literal["parquet", "jsonl", "datatrove", "megatron", "litgpt"] = "parquet"
    seed: int = 0
    shards: int | None = None
    shard_bytes: int = 256 << 20
    holdout: float = 0.0
    mixture: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    eos: str = ""
    columns: tuple[str, ...] = ()
    rules: Literal["auto", "verdicts", "c4", "gopher", "fineweb"] = "auto"
    push_to: str = ""

    def __post_init__(self) -> None:
        check_least(self, 1, "shards", most=1_000_000)
        check_least(self, 1, "shard_bytes")
        check_least(self, 0, "holdout", most=0.5)
        for source, weight in self.mixture.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= MAX_WEIGHT:
                raise ValueError(f"mixture of {str(source)[:80]!r} is {str(weight)[:40]}; expected 0 to {MAX_WEIGHT:g}")
            if not math.isfinite(weight):
                raise ValueError(f"mixture of {str(source)[:80]!r} is no number")
        # YAML reads a source that is called 2024 as a number.
        object.__setattr__(self, "mixture", {str(source): float(weight) for source, weight in self.mixture.items()})
        if self.push_to and not _REPOSITORY.fullmatch(self.push_to):
            raise ValueError(f"push_to is {self.push_to[:80]!r}; expected OWNER/NAME")

    def weight_of(self, source: str | None) -> float:
        """How often a document of a source is taken."""
        return float(self.mixture.get(source or "", self.mixture.get(EVERY_OTHER_SOURCE, 1.0)))
