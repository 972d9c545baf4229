"""The JSON that a bench writes: figures of several rounds with their spread, ratios of figures of the same round.

Every part of `bench/run.py` writes `{"name", "settings", "rows"}`. A value of a row is text, a number, or a spread.
Knows no bench.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Row", "Spread", "ratios", "spread", "write_result"]

Spread = dict[str, float]
Row = Mapping[str, object]


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most of the rounds, and how many rounds there were."""
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "rounds": len(values),
    }


def ratios(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """How many times the reference each value is, round by round."""
    return spread([value / other for value, other in zip(values, reference, strict=True)])


def write_result(file: Path | None, name: str, settings: Mapping[str, object], rows: Sequence[Row]) -> None:
    """Write what a part measured; does nothing without a file.

    Args:
        settings: what was asked for; paths are left out.
        rows: with a key `what` first.
    """
    if file is None:
        return
    shown = {key: value for key, value in settings.items() if not isinstance(value, Path) and value is not None}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"name": name, "settings": shown, "rows": list(rows)}, indent=1, default=str) + "\n")
    partial.replace(file)
