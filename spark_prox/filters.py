"""The filters that are on, and what decides their verdicts, as hashes.

A verdict counts under the hash of its filter only. Filters that compare documents with each other also depend on the
filters before them: those decide which documents there are to compare. Knows no Spark.
"""

from __future__ import annotations

import dataclasses

from spark_prox.config.filters import FiltersConfig
from spark_prox.keys import digest

__all__ = [
    "EXACT_DUPLICATES",
    "FILTERED",
    "LANGUAGE",
    "NEAR_DUPLICATES",
    "REPEATED_LINES",
    "REPEATED_LINES_REASON",
    "RULES",
    "filter_hashes",
]

EXACT_DUPLICATES = "exact-duplicates"
LANGUAGE = "language"
RULES = "rules"
NEAR_DUPLICATES = "near-duplicates"
REPEATED_LINES = "repeated-lines"
FILTERED = "FILTERED"
"""`refined.doc_reason` of a document that a filter dropped; `reason` has the reason of the verdict."""
REPEATED_LINES_REASON = "REPEATED_LINES"
"""The reason of a document of which repeated lines leave too little, and of one that lost nothing else."""

_VERSIONS = {EXACT_DUPLICATES: 1, LANGUAGE: 1, RULES: 1, NEAR_DUPLICATES: 1, REPEATED_LINES: 1}
"""By filter, in their order; a number grows when the same settings come to give other verdicts."""
_COMPARING = (EXACT_DUPLICATES, NEAR_DUPLICATES, REPEATED_LINES)


def filter_hashes(filters: FiltersConfig) -> dict[str, str]:
    """A hash of all that decides the verdicts of each filter that is on, by name, in the order of the filters."""
    hashes: dict[str, str] = {}
    for name, version in _VERSIONS.items():
        section = getattr(filters, name.replace("-", "_"))
        if section.enabled:
            before = list(hashes.values()) if name in _COMPARING else []
            hashes[name] = digest([name, version, dataclasses.asdict(section), before])
    return hashes
