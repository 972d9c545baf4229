"""The report's page as plain data: figures of tables, sampled documents. Knows no Spark and no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from spark_prox.programs import Policy
from spark_prox.report.decisions import Decisions
from spark_prox.report.facts import LineFacts
from spark_prox.report.story import Story

__all__ = [
    "CallCount",
    "EditKind",
    "Flow",
    "GridPoint",
    "GroupRow",
    "Histogram",
    "MarginGrid",
    "OutcomeRow",
    "RejectRow",
    "RemovedLine",
    "Report",
    "RunRow",
    "ShownDocument",
    "StateComparison",
    "TableRow",
    "Transition",
]


@dataclass(frozen=True, kw_only=True)
class OutcomeRow:
    """Rows of `refined` of one outcome and reason; tokens are None where a run did not count them."""

    outcome: str
    reason: str
    at_document_level: bool
    documents: int
    lines_before: int
    lines_after: int
    words_before: int
    words_after: int
    chars_before: int
    chars_after: int
    tokens_before: int | None
    tokens_after: int | None


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Outcomes of one state of `refined`, and the documents in quarantine beside it.

    Attributes:
        name: what the state is called beside another one.
        quarantined_chars: characters of the documents in quarantine.
    """

    name: str
    outcomes: Sequence[OutcomeRow]
    quarantined: int = 0
    quarantined_chars: int = 0
    tokens_are_estimated: bool = False


@dataclass(frozen=True, kw_only=True)
class RejectRow:
    """Rows of `rejects` of one stage and code."""

    stage: str
    code: str
    records: int


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Documents by a quantity: bin i reaches from `edges[i]` to `edges[i + 1]`; `after` is a second series."""

    edges: Sequence[float]
    documents: Sequence[int]
    after: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class EditKind:
    """Edits of one kind in `refined`."""

    kind: str
    edits: int
    documents: int
    chars_removed: int
    chars_inserted: int


@dataclass(frozen=True, kw_only=True)
class CallCount:
    """Calls of one name in the programs of a sample, by what became of them."""

    name: str
    status: str
    code: str
    calls: int


@dataclass(frozen=True, kw_only=True)
class RemovedLine:
    """A line that was removed, without white space at its ends, in how many places."""

    text: str
    times: int
    documents: int


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """Documents of one host, language or source."""

    value: str
    documents: int
    dropped: int
    words_before: int
    words_after: int
    kept_words_before: int


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One stage of one run."""

    run_id: str
    stage: str
    status: str
    error: str
    started_at: datetime | None
    seconds: float
    documents: int
    prompt_tokens: int
    output_tokens: int
    flop: float | None
    settings: str
    guard: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One table of the warehouse."""

    name: str
    where: str
    version: int | None
    changed_at: datetime | None
    rows: int
    files: int | None
    size_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """A sample of documents under one choice of margins.

    Attributes:
        short: `min_remove_margin_short`; None where it is the same as for long lines.
        kept_tokens: share of the tokens that are left, estimated from characters.
        removed_words: share of the words of kept documents that go.
        refused: documents that the policy leaves as they are.
        precision: of the removed lines, the share that labels remove; None without labels.
        recall: of the lines that labels remove, the share that go.
    """

    margin: float
    short: float | None
    kept_tokens: float
    removed_words: float
    refused: int
    dropped: int
    precision: float | None = None
    recall: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarginGrid:
    """The grid of thresholds over a sample."""

    points: Sequence[GridPoint]
    documents: int
    labelled: int
    labelled_lines: int = 0
    labels_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Documents with one outcome here and another one there."""

    before: str
    after: str
    documents: int
    text_differs: int
    words_before: int
    words_after: int


@dataclass(frozen=True, kw_only=True)
class StateComparison:
    """This state of `refined` beside another one: an earlier run's, or what another policy would make.

    Attributes:
        only_here, only_there: documents that the other state does not have, or has alone.
    """

    name: str
    how: str
    flow: Flow
    transitions: Sequence[Transition]
    only_here: int = 0
    only_there: int = 0


@dataclass(frozen=True, kw_only=True)
class ShownDocument:
    """One document of the browser.

    Attributes:
        decisions: under the stored settings.
        other: the outcome, reason and removed lines of the state to compare with; None without one.
    """

    story: Story = field(repr=False)
    decisions: Decisions = field(repr=False)
    facts: LineFacts = field(repr=False)
    other: tuple[str, str, frozenset[int]] | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything the page shows."""

    title: str
    made_at: datetime
    warehouse: str
    run_id: str
    settings: str
    other_settings: int
    seed: int
    policy: Policy
    policy_is_known: bool
    keys_are_known: bool
    config: str
    versions: Mapping[str, str]
    flow: Flow
    rejects: Sequence[RejectRow]
    removed_share: Histogram
    lengths: Histogram
    edits: Sequence[EditKind]
    calls: Sequence[CallCount]
    calls_of: int
    removed_lines: Sequence[RemovedLine]
    removed_lines_of: float
    groups: Mapping[str, Sequence[GroupRow]]
    runs: Sequence[RunRow]
    tables: Sequence[TableRow]
    what_if: MarginGrid | None
    documents: Sequence[ShownDocument]
    comparison: StateComparison | None = None
    price_per_hour: float | None = None
