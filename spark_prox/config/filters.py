"""Which documents are dropped before a model sees them: the section `filters` of the configuration.

Each filter has a section of its own and is off. Knows no Spark; `spark_prox.filters` makes the hashes by which later
runs tell what has to be decided again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spark_prox.config.limits import check_least, check_shares
from spark_prox.heuristics.rules.verdicts import RULE_SETS

__all__ = [
    "ExactConfig",
    "FiltersConfig",
    "KeepPolicy",
    "LanguageConfig",
    "NearConfig",
    "RepeatedLinesConfig",
    "RulesConfig",
]

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
class LanguageConfig:
    """Language: documents in other languages than the wanted ones.

    Attributes:
        enabled: run the filter.
        keep: ISO 639 codes of the wanted languages, as fastText names them; none for all.
        min_score: smallest probability of the language (FineWeb: 0.65).
    """

    enabled: bool = False
    keep: tuple[str, ...] = ("en",)
    min_score: float = 0.65

    def __post_init__(self) -> None:
        check_shares(self, "min_score")


@dataclass(frozen=True, kw_only=True)
class RulesConfig:
    """Published rules for English text, with the thresholds of their papers.

    Attributes:
        enabled: run the filter.
        sets: gopher_repetition, gopher_quality, c4 and fineweb, or some of them; they are asked in this order.
        c4_line_ends: C4 counts lines only that end in a punctuation mark; FineWeb has this off.
    """

    enabled: bool = False
    sets: tuple[str, ...] = tuple(RULE_SETS)
    c4_line_ends: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.sets if name not in RULE_SETS]
        if unknown or not self.sets:
            raise ValueError(f"sets is {', '.join(unknown) or 'empty'}; expected some of {', '.join(RULE_SETS)}")


@dataclass(frozen=True, kw_only=True)
class NearConfig:
    """Near duplicates by MinHash, with FineWeb's numbers.

    Attributes:
        enabled: run the filter.
        keep: which of several stays: longest, oldest, newest or first. One that a run has kept stays.
        date_column: a column of your own that says how old a document is; "" for the time of its ingest.
        ngram: words that are compared together.
        bands, rows: band keys of a text, and hashes in each; two texts with a key in common are duplicates.
        max_rounds: most rounds of the search for connected duplicates.
    """

    enabled: bool = False
    keep: KeepPolicy = "longest"
    date_column: str = ""
    ngram: int = 5
    bands: int = 14
    rows: int = 8
    max_rounds: int = 20

    def __post_init__(self) -> None:
        check_least(self, 1, "ngram", "bands", "rows", "max_rounds", most=100)


@dataclass(frozen=True, kw_only=True)
class RepeatedLinesConfig:
    """Lines that many pages of a host share: menus, footers, notices. They go from every page.

    A line repeats when both limits say so.

    Attributes:
        enabled: run the filter.
        min_pages: fewest pages of a host with the line.
        min_share: smallest share of the host's pages with the line.
        max_pages: pages of a host that are counted; of a larger one a sample, and the limits are held against that.
        min_chars: a page of which lines go and fewer letters and digits stay is dropped.
    """

    enabled: bool = False
    min_pages: int = 3
    min_share: float = 0.0
    max_pages: int = 10_000
    min_chars: int = 100

    def __post_init__(self) -> None:
        check_least(self, 2, "min_pages")
        check_least(self, 0, "min_chars")
        check_least(self, 2, "max_pages")
        check_shares(self, "min_share")
        if self.max_pages < self.min_pages:
            raise ValueError(f"max_pages is {self.max_pages}; expected at least min_pages, {self.min_pages}")


@dataclass(frozen=True, kw_only=True)
class FiltersConfig:
    """The filters, in the order in which they run.

    Attributes:
        exact_duplicates: documents with the same address or text as another one.
        language: documents in other languages than the wanted ones.
        rules: documents that break a published rule.
        near_duplicates: documents that share most of their word n-grams with another one.
        repeated_lines: lines that many pages of a host share.
    """

    exact_duplicates: ExactConfig = ExactConfig()
    language: LanguageConfig = LanguageConfig()
    rules: RulesConfig = RulesConfig()
    near_duplicates: NearConfig = NearConfig()
    repeated_lines: RepeatedLinesConfig = RepeatedLinesConfig()
