"""Results that survive the end of a lent machine: written after every part, with the card and its software.

A `Record` runs named parts in order of worth, each only if its time is still there, and ends the process when the
wall-clock budget is over. A part that fails is a line in the results, never the end of the run.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Record", "machine"]

_PACKAGES = ("torch", "triton", "transformers", "tokenizers", "numpy")


class Record:
    """`results.json` in a folder."""

    def __init__(self, folder: Path, seconds: float, *, skip: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.json"
        self._began = time.monotonic()
        self._seconds = seconds
        self._skip = frozenset(skip)
        self._lock = threading.Lock()
        self.values: dict[str, Any] = {"machine": machine(), "budget_s": seconds, "parts": {}}
        threading.Thread(target=self._end, daemon=True).start()

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self._seconds - (time.monotonic() - self._began)

    def say(self, text: str) -> None:
        """Print a line with the time."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def part(self, name: str, needs_s: float, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run one part if `needs_s` seconds are left; its figures, or an empty mapping."""
        found: dict[str, Any]
        if name in self._skip:
            found = {"left_out": "as asked"}
        elif self.left() < needs_s:
            found = {"left_out": f"{self.left():.0f} s were left, it needs {needs_s:g}"}
        else:
            began = time.monotonic()
            try:
                found = run()
            except Exception as error:  # noqa: BLE001 - the next part may still work
                found = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            found["part_s"] = round(time.monotonic() - began, 2)
        self.values["parts"][name] = found
        self.save()
        self.say(f"{name}: {json.dumps(found)[:1500]}")
        return {} if "error" in found or "left_out" in found else found

    def save(self) -> None:
        """Write what is known by now."""
        with self._lock:
            self.values["wall_s"] = round(time.monotonic() - self._began, 1)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
            new.replace(self._file)

    def _end(self) -> None:
        time.sleep(self._seconds)
        self.values["ended"] = "the budget was over"
        self.save()
        self.say("the budget is over")
        os._exit(0)


def machine() -> dict[str, Any]:
    """Card, driver, versions."""
    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm",
        "--format=csv,noheader",
    ]
    try:
        found["card"] = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found["card"] = None
    return found
