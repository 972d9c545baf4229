"""Geometry of the page's small charts: histograms, shares, lines over runs. Numbers in, coordinates out; no markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spark_prox.report.page.model import Histogram, OutcomeRow, RunRow

__all__ = ["Bar", "Bars", "OutcomeShare", "RunPoint", "histogram_bars", "outcome_segments", "run_points"]

_WIDTH, _HEIGHT = 520.0, 170.0
_BOTTOM, _LEFT = 22.0, 4.0
_ORDER = ("KEPT", "EDITED", "REFUSED", "DROPPED", "FAILED")


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar; `after` is the height of the second series, drawn in front."""

    x: float
    width: float
    y: float
    height: float
    after_y: float
    after_height: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A histogram: bars and the labels below them."""

    width: float
    height: float
    base: float
    bars: Sequence[Bar]
    labels: Sequence[tuple[float, str]]
    has_after: bool


@dataclass(frozen=True, kw_only=True)
class OutcomeShare:
    """A part of a bar of shares, by outcome."""

    outcome: str
    documents: int
    share: float
    x: float
    width: float


@dataclass(frozen=True, kw_only=True)
class RunPoint:
    """The figures of one run, for the lines over runs; shares are None where nothing was counted."""

    run_id: str
    started: str
    documents: int
    keep_rate: float | None
    removed_share: float | None
    failure_ratio: float | None
    settings: str
    is_other: bool
    x: float


def histogram_bars(histogram: Histogram, *, percent: bool) -> Bars:
    """Lay a histogram out; `percent` says what its edges are."""
    count = max(len(histogram.documents), 1)
    most = max([*histogram.documents, *histogram.after, 1])
    base = _HEIGHT - _BOTTOM
    step = (_WIDTH - 2 * _LEFT) / count
    bars, labels = [], []
    for number, documents in enumerate(histogram.documents):
        after = histogram.after[number] if histogram.after else 0
        height, after_height = (max(value / most * (base - 8), 1.0 if value else 0.0) for value in (documents, after))
        low, high = histogram.edges[number], histogram.edges[number + 1]
        name = f"{low:.0%} to {high:.0%}" if percent else f"{low:,.0f} to {high - 1:,.0f} words"
        title = f"{name}: {documents:,} documents" + (f", {after:,} after" if histogram.after else "")
        x = _LEFT + number * step
        bars.append(
            Bar(
                x=x + 1,
                width=max(step - 2, 1),
                y=base - height,
                height=height,
                after_y=base - after_height,
                after_height=after_height,
                title=title,
            )
        )
        if number % (4 if percent else 2) == 0:
            labels.append((x, f"{low:.0%}" if percent else _short(low)))
    return Bars(width=_WIDTH, height=_HEIGHT, base=base, bars=bars, labels=labels, has_after=bool(histogram.after))


def outcome_segments(rows: Sequence[OutcomeRow], quarantined: int) -> list[OutcomeShare]:
    """Shares of documents by outcome, as parts of a bar 100 wide."""
    counts = {name: sum(row.documents for row in rows if row.outcome == name) for name in _ORDER}
    counts["FAILED"] += quarantined
    whole = sum(counts.values())
    segments, x = [], 0.0
    for name, documents in counts.items():
        if documents:
            share = documents / whole
            segments.append(OutcomeShare(outcome=name, documents=documents, share=share, x=x, width=100 * share))
            x += 100 * share
    return segments


def run_points(runs: Sequence[RunRow], settings: str, *, most: int = 40) -> list[RunPoint]:
    """The runs that executed documents, with what their guard rails counted."""
    chosen = [run for run in runs if run.stage == "execute" and run.documents and run.status != "FAILED"][-most:]
    step = 100 / max(len(chosen) - 1, 1)
    return [
        RunPoint(
            run_id=run.run_id,
            started=run.started_at.strftime("%Y-%m-%d %H:%M") if run.started_at else "",
            documents=run.documents,
            keep_rate=_ratio(run, "kept", "judged"),
            removed_share=_removed(run),
            failure_ratio=_ratio(run, "failed", "tried"),
            settings=run.settings,
            is_other=run.settings != settings,
            x=number * step if len(chosen) > 1 else 50.0,
        )
        for number, run in enumerate(chosen)
    ]


def _ratio(run: RunRow, part: str, whole: str) -> float | None:
    return run.guard[part] / run.guard[whole] if run.guard.get(whole) and part in run.guard else None


def _removed(run: RunRow) -> float | None:
    kept = _ratio(run, "chars_after", "chars_before")
    return None if kept is None else 1 - kept


def _short(number: float) -> str:
    return f"{number / 1000:.0f}k" if number >= 1000 else f"{number:.0f}"
