"""The token flow as a Sankey diagram: from raw text through both levels to what is left. Geometry only, no markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spark_prox.report.page.model import Flow, OutcomeRow

__all__ = ["UNITS", "Band", "Diagram", "Node", "amount", "flow_amounts", "sankey"]

UNITS = ("tokens", "words", "documents")
WIDTH, HEIGHT = 1000.0, 330.0
_NODE = 12.0
_GAP = 22.0
_RIGHT = 170.0  # for the labels of the last column
_TOP = 8.0
_COLUMNS = {
    "raw": 0,
    "kept": 1,
    "dropped": 1,
    "quarantine": 1,
    "edited": 2,
    "unchanged": 2,
    "refused": 2,
    "wiped": 2,
    "refined": 3,
    "removed": 3,
}
_LABELS = {
    "raw": "Raw text",
    "kept": "Kept documents",
    "dropped": "Dropped documents",
    "quarantine": "In quarantine",
    "edited": "Edited",
    "unchanged": "Nothing to remove",
    "refused": "Left as is by policy",
    "wiped": "Dropped by policy",
    "refined": "Refined text",
    "removed": "Removed text",
}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A bar of the diagram; `kind` is its colour."""

    kind: str
    label: str
    value: float
    share: float
    x: float
    y: float
    height: float
    width: float = _NODE


@dataclass(frozen=True, kw_only=True)
class Band:
    """A flow between two bars, as an SVG path."""

    kind: str
    path: str
    width: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """Bars and bands, and the same numbers as rows of a table."""

    unit: str
    width: float
    height: float
    nodes: Sequence[Node]
    bands: Sequence[Band]
    rows: Sequence[tuple[str, str, float]] = field(default_factory=tuple)


def amount(row: OutcomeRow, unit: str, when: str) -> float:
    """One outcome's tokens, words or documents, before or after; 0 where a run did not count them."""
    if unit == "documents":
        return float(row.documents) if when == "before" or row.outcome != "DROPPED" else 0.0
    return float(getattr(row, f"{unit}_{when}") or 0)


def flow_amounts(flow: Flow, unit: str) -> dict[tuple[str, str], float]:
    """The amounts that flow, by the bars that they leave and reach."""
    rows = flow.outcomes

    def total(chosen: Callable[[OutcomeRow], bool], when: str = "before") -> float:
        return sum(amount(row, unit, when) for row in rows if chosen(row))

    chars = sum(row.chars_before for row in rows)
    known = total(lambda _: True)
    waiting = flow.quarantined_chars * (known / chars if chars else 0.25)
    amounts = {
        ("raw", "dropped"): total(lambda row: row.outcome == "DROPPED" and row.at_document_level),
        ("raw", "quarantine"): float(flow.quarantined) if unit == "documents" else waiting,
        ("kept", "edited"): total(lambda row: row.outcome == "EDITED"),
        ("kept", "unchanged"): total(lambda row: row.outcome == "KEPT"),
        ("kept", "refused"): total(lambda row: row.outcome in ("REFUSED", "FAILED")),
        ("kept", "wiped"): total(lambda row: row.outcome == "DROPPED" and not row.at_document_level),
        ("edited", "refined"): total(lambda row: row.outcome == "EDITED", "after"),
        ("unchanged", "refined"): total(lambda row: row.outcome == "KEPT", "after"),
        ("refused", "refined"): total(lambda row: row.outcome in ("REFUSED", "FAILED"), "after"),
    }
    amounts["raw", "kept"] = sum(value for (source, _), value in amounts.items() if source == "kept")
    amounts["edited", "removed"] = max(0.0, amounts["kept", "edited"] - amounts["edited", "refined"])
    return {pair: value for pair, value in amounts.items() if value > 0}


def sankey(flow: Flow, unit: str, *, most: float = 0.0) -> Diagram:
    """Lay the flow out.

    Args:
        most: the total that fills the height, so that two diagrams have one scale; by default this flow's own.
    """
    amounts = flow_amounts(flow, unit)
    into = {name: sum(v for (_, target), v in amounts.items() if target == name) for name in _COLUMNS}
    out = {name: sum(v for (source, _), v in amounts.items() if source == name) for name in _COLUMNS}
    sizes = {name: max(into[name], out[name]) for name in _COLUMNS}
    whole = sizes["raw"]
    scale = (HEIGHT - 3 * _GAP - 2 * _TOP) / max(whole, most, 1e-9)
    nodes: dict[str, Node] = {}
    for column in range(4):
        y = _TOP
        for name in (name for name, place in _COLUMNS.items() if place == column and sizes[name] > 0):
            height = max(sizes[name] * scale, 1.5)
            x = column * (WIDTH - _RIGHT - _NODE) / 3
            share = sizes[name] / whole if whole else 0.0
            nodes[name] = Node(kind=name, label=_LABELS[name], value=sizes[name], share=share, x=x, y=y, height=height)
            y += max(height, 14.0) + _GAP
    return Diagram(
        unit=unit,
        width=WIDTH,
        height=max((node.y + max(node.height, 30.0) for node in nodes.values()), default=HEIGHT) + _TOP,
        nodes=list(nodes.values()),
        bands=_bands(amounts, nodes, scale, unit),
        rows=[(_LABELS[source], _LABELS[target], value) for (source, target), value in _ordered(amounts)],
    )


def _ordered(amounts: dict[tuple[str, str], float]) -> list[tuple[tuple[str, str], float]]:
    order = {name: place for place, name in enumerate(_COLUMNS)}
    return sorted(amounts.items(), key=lambda item: (order[item[0][0]], order[item[0][1]]))


def _bands(amounts: dict[tuple[str, str], float], nodes: dict[str, Node], scale: float, unit: str) -> list[Band]:
    leaving = {name: node.y for name, node in nodes.items()}
    arriving = dict(leaving)
    bands = []
    for (source, target), value in _ordered(amounts):
        width = max(value * scale, 1.0)
        left, right = nodes[source].x + _NODE, nodes[target].x
        y0, y1 = leaving[source] + width / 2, arriving[target] + width / 2
        leaving[source] += value * scale
        arriving[target] += value * scale
        middle = (left + right) / 2
        path = f"M{left:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {right:.1f} {y1:.1f}"
        title = f"{_LABELS[source]} to {_LABELS[target]}: {value:,.0f} {unit}"
        bands.append(Band(kind=target, path=path, width=width, title=title))
    return bands
