"""Which documents are dropped before a model sees them: the section `filters` of the configuration.

Each filter has a section of its own and is off. Knows no Spark; `spark_prox.filters` makes the hashes by which later
runs tell what has to be decided again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ExactConfig", "FiltersConfig", "KeepPolicy"]

KeepPolicy = Literal["first", "longest", "oldest", "newest"]
"""Which of several duplicates stays: the smallest id, the longest text, or the one with the first or last date."""


@dataclass(frozen=True, kw_only=True)
class ExactConfig:
    """Exact duplicates: documents with the same address or the same text.

    Attributes:
        enabled: run the filter.
        url: compare addresses, after normalisation.
        text: compare texts.
        normalize_space: texts that differ in white space only are the same.
        keep: which of several stays: first, longest, oldest or newest. One that a run has kept stays.
        date_column: a column of your own that says how old a document is; "" for the time of its ingest.
    """

    enabled: bool = False
    url: bool = True
    text: bool = True
    normalize_space: bool = True
    keep: KeepPolicy = "first"
    date_column: str = ""


@dataclass(frozen=True, kw_only=True)
class FiltersConfig:
    """The filters, in the order in which they run.

    Attributes:
        exact_duplicates: documents with the same address or text as another one.
    """

    exact_duplicates: ExactConfig = ExactConfig()
