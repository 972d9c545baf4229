"""The manifest of an export: what is in it and what it was made of, as JSON beside the shards.

Knows no Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from spark_prox.export.plan import ExportPlan
from spark_prox.export.shards import ShardRecord

__all__ = ["Amount", "ExportManifest", "FlowStep", "Made", "amounts"]

_VERSION = 1


class Amount(NamedTuple):
    """How much of something there is; `tokens` is None where nobody counted those of every document."""

    split: str
    source: str
    documents: int
    tokens: int | None


class FlowStep(NamedTuple):
    """What is left of the warehouse's documents after a step, by source; see the view `v_token_flow`."""

    source: str
    step: int
    stage: str
    documents: int
    tokens: int
    words: int
    uncounted: int


class Made(NamedTuple):
    """What made rows of a table, and how many."""

    what: str
    name: str
    detail: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ExportManifest:
    """An export.

    Attributes:
        created_at: when it was finished, in UTC.
        warehouse: where its tables are.
        versions: of the software.
        records: all shards, in order.
        flow: what each step left of the warehouse's documents.
        made: runs, policies and models behind the rows.
    """

    plan: ExportPlan
    created_at: str
    warehouse: str
    versions: dict[str, str]
    records: tuple[ShardRecord, ...]
    flow: tuple[FlowStep, ...] = ()
    made: tuple[Made, ...] = ()

    @property
    def corpus(self) -> str:
        """Raw, rules, doc or chunk."""
        return str(self.plan.settings["corpus"])

    @property
    def format(self) -> str:
        """The format of the shards."""
        return str(self.plan.settings["format"])

    def as_json(self) -> dict[str, object]:
        """The manifest as JSON."""
        return {
            "manifest_version": _VERSION,
            "created_at": self.created_at,
            "warehouse": self.warehouse,
            "versions": self.versions,
            "plan": self.plan.as_json(),
            "totals": [amount._asdict() for amount in amounts(self.records)],
            "flow": [step._asdict() for step in self.flow],
            "made": [made._asdict() for made in self.made],
            "shards": [record.as_json() for record in self.records],
        }


def amounts(records: Sequence[ShardRecord]) -> list[Amount]:
    """Documents and tokens by split and source; source `*` is all of a split."""
    splits = dict.fromkeys(record.split for record in records)
    found = []
    for split in splits:
        part = [record for record in records if record.split == split]
        counted = not any(record.uncounted for record in part)
        for source in ["*", *sorted({name for record in part for name in record.documents})]:
            names = [name for record in part for name in record.documents] if source == "*" else [source]
            chosen = set(names)
            documents = sum(count for record in part for name, count in record.documents.items() if name in chosen)
            tokens = sum(count for record in part for name, count in record.tokens.items() if name in chosen)
            found.append(Amount(split, source, documents, tokens if counted else None))
    return found
