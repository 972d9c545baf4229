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

__all__ = ["DeviceLostError", "Record", "machine"]

_PACKAGES = ("torch", "triton", "transformers", "tokenizers", "numpy")


class DeviceLostError(Exception):
    """A part broke the device's state."""


class Record:
    """`results.json` in a folder."""

    def __init__(self, folder: Path, seconds: float, *, skip: Sequence[str] = (), resume: bool = False) -> None:
        """
        Args:
            skip: names of parts to leave out.
            resume: keep what the folder has, and run only the parts that it lacks.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.json"
        self._began = time.monotonic()
        self._seconds = seconds
        self._skip = frozenset(skip)
        self._lock = threading.Lock()
        self.values: dict[str, Any] = {"machine": machine(), "budget_s": seconds, "parts": {}}
        if resume and self._file.is_file():
            self.values["parts"] = json.loads(self._file.read_text(encoding="utf-8"))["parts"]
        threading.Thread(target=self._end, daemon=True).start()

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self._seconds - (time.monotonic() - self._began)

    def say(self, text: str) -> None:
        """Print a line with the time."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def part(self, name: str, needs_s: float, run: Callable[[], dict[str, Any]], *, always: bool = False) -> None:
        """Run one part if `needs_s` seconds are left, and it is not there, or `always`.

        Raises:
            DeviceLostError: the part took the device's state with it; nothing more can run in this process.
        """
        if not always and name in self.values["parts"] and "left_out" not in self.values["parts"][name]:
            return
        lost = False
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
                lost = "CUDA error" in str(error) and "out of memory" not in str(error).lower()
            found["part_s"] = round(time.monotonic() - began, 2)
        with self._lock:
            self.values["parts"][name] = found
        self.save()
        self.say(f"{name}: {json.dumps(found)[:1500]}")
        if lost:
            raise DeviceLostError(name)

    def save(self) -> None:
        """Write what is known by now."""
        with self._lock:
            self.values["wall_s"] = round(time.monotonic() - self._began, 1)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
            new.replace(self._file)

    def _end(self) -> None:
        time.sleep(self._seconds)
        with self._lock:
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
