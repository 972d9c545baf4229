"""The report as one HTML page: no network, no framework, under a number of bytes.

Style and scripts are named by their hashes in the page's content security policy, so that nothing else runs, whatever
a document says. Text reaches the markup through jinja2's autoescape or as JSON, never otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING

from spark_prox.errors import SetupError
from spark_prox.report.page.charts import histogram_bars, outcome_segments, run_points
from spark_prox.report.page.documents import embedded_json, fitting_documents
from spark_prox.report.page.model import Flow, GridPoint, Report, RunRow
from spark_prox.report.page.sankey import UNITS, Diagram, flow_amounts, sankey
from spark_prox.report.story import Key

if TYPE_CHECKING:
    import jinja2

__all__ = ["MAX_BYTES", "render_report", "visible"]

MAX_BYTES = 4_900_000
_SCRIPTS = ("decide.js", "lines.js", "browser.js", "page.js")
_HIDDEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def render_report(report: Report, keys: Mapping[str, Key], *, max_bytes: int = MAX_BYTES) -> str:
    """The page.

    Args:
        keys: of the programs that count, by level.
        max_bytes: of the page; documents that do not fit are left out, the last ones first.

    Raises:
        SetupError: JINJA2_MISSING.
    """
    page = _page(report, [], 0)
    documents, left_out = fitting_documents(report.documents, keys.values(), max_bytes - len(page.encode()) - 1000)
    return _page(report, documents, left_out)


def visible(text: str) -> str:
    """Text in which control characters and those that turn the direction of writing are written as escapes."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _page(report: Report, documents: list[str], left_out: int) -> str:
    from markupsafe import Markup

    style = _asset("report.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    settings = {
        "policy": asdict(report.policy),
        "known": report.policy_is_known,
        "against": report.comparison.name if report.comparison else None,
        "title": report.title,
    }
    security = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            security=security,
            style=Markup(style),
            script=Markup(script),
            settings=Markup(embedded_json(settings)),
            documents=Markup("[" + ",".join(documents) + "]"),
            shown=len(documents),
            left_out=left_out,
            totals=_totals(report),
            flows=_flows(report),
            segments=outcome_segments(report.flow.outcomes, report.flow.quarantined),
            removed_share=histogram_bars(report.removed_share, percent=True),
            lengths=histogram_bars(report.lengths, percent=False),
            points=run_points(report.runs, report.settings),
            stages=_stages(report),
            grid=_grid(report),
            config=_pretty(report.config),
        )
    )


def _totals(report: Report) -> dict[str, float]:
    """The figures of the first line of the page."""
    rows = report.flow.outcomes
    unit = "tokens" if any(row.tokens_before for row in rows) else "words"
    before = sum(getattr(row, f"{unit}_before") or 0 for row in rows)
    after = sum(getattr(row, f"{unit}_after") or 0 for row in rows)
    documents = sum(row.documents for row in rows) + report.flow.quarantined
    kept = [row for row in rows if row.outcome != "DROPPED"]
    kept_before = sum(row.words_before for row in kept)
    return {
        "documents": documents,
        "dropped": sum(row.documents for row in rows if row.outcome == "DROPPED"),
        "edited": sum(row.documents for row in rows if row.outcome == "EDITED"),
        "before": before,
        "after": after,
        "share": after / before if before else 0.0,
        "removed": 1 - sum(row.words_after for row in kept) / kept_before if kept_before else 0.0,
        "has_tokens": unit == "tokens",
    }


def _flows(report: Report) -> dict[str, list[tuple[str, Diagram]]]:
    """Diagrams by unit; two with one scale where there is something to compare with."""
    flows: list[Flow] = [report.flow, *([report.comparison.flow] if report.comparison else [])]
    found = {}
    for unit in UNITS:
        amounts = [flow_amounts(flow, unit) for flow in flows]
        most = max(sum(v for (source, _), v in own.items() if source == "raw") for own in amounts)
        if most and (unit != "tokens" or all(_has_tokens(flow) for flow in flows)):
            found[unit] = [(flow.name, sankey(flow, unit, most=most)) for flow in flows]
    return found


def _has_tokens(flow: Flow) -> bool:
    return any(row.tokens_before for row in flow.outcomes)


def _stages(report: Report) -> list[RunRow]:
    """Of each stage, the last run that had something to do."""
    return [*{run.stage: run for run in report.runs if run.documents and run.status != "FAILED"}.values()]


def _grid(report: Report) -> dict[str, object] | None:
    """The what-if grid as rows of cells."""
    if report.what_if is None:
        return None
    points = report.what_if.points
    shorts = [*dict.fromkeys(point.short for point in points)]
    margins = [*dict.fromkeys(point.margin for point in points)]
    cells = {(point.margin, point.short): point for point in points}
    measures = ["kept_tokens", "removed_words"]
    if report.what_if.labelled:
        measures += ["precision", "recall", "f1"]
    values = {name: [_measure(point, name) for point in points] for name in measures}
    return {
        "shorts": shorts,
        "margins": margins,
        "cells": cells,
        "measures": measures,
        "least": {name: min((v for v in own if v is not None), default=0.0) for name, own in values.items()},
        "most": {name: max((v for v in own if v is not None), default=1.0) for name, own in values.items()},
        "current": (report.policy.min_remove_margin, report.policy.min_remove_margin_short),
    }


def _measure(point: GridPoint, name: str) -> float | None:
    if name != "f1":
        value = getattr(point, name)
        return None if value is None else float(value)
    if not point.precision or not point.recall:
        return None
    return 2 * point.precision * point.recall / (point.precision + point.recall)


def _pretty(config: str) -> str:
    try:
        return json.dumps(json.loads(config), indent=2, ensure_ascii=False)
    except ValueError:
        return config


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise SetupError("JINJA2_MISSING", "The report needs jinja2.", "pip install 'jinja2>=3.1'") from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "visible": visible,
        "count": lambda value: "" if value is None else f"{value:,.0f}",
        "compact": _compact,
        "percent": lambda value: "" if value is None else f"{value:.1%}",
        "margin": lambda value: "" if value is None else f"{value:g}",
        "duration": _duration,
        "bytes": _bytes,
    }
    environment.filters.update(filters)
    environment.globals |= {"measure_of": _measure}
    return environment


def _asset(name: str) -> str:
    return (resources.files("spark_prox.report.page") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _compact(value: float | None) -> str:
    """1,234,567 as 1.23M."""
    if value is None:
        return ""
    for limit, unit in ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            number = value / (1e3 if unit == "k" else limit)
            return f"{number:.3g}{unit}" if number < 1000 else f"{number:,.0f}{unit}"
    return f"{value:,.0f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(value: float | None) -> str:
    if value is None:
        return ""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"
