"""Runs on executors around the real `udfs.generate.GeneratePrograms` and writes down what the task saw, a file a task.

Shipped to executors in a zip of its own; the files go to a folder that driver and executors share, being one machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark import TaskContext

_UNSET = "(unset)"
_when_imported: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """For `mapInPandas`: what the wrapped callable gives.

    Attributes:
        generate: the callable to run.
        folder: where each finished task leaves `<name>.json`, and each one that began leaves `<name>.started`.
        delay_s: wait before each Arrow batch, for tests that need a task to last.
    """

    generate: Any
    folder: str
    delay_s: float = 0.0

    @property
    def columns(self) -> str:
        """The columns that the callable gives."""
        return str(self.generate.columns)

    def __call__(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Run the callable and leave a record."""
        if not any(isinstance(finder, _Watch) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Watch())
        context = TaskContext.get()
        assert context is not None
        gpus = context.resources().get("gpu")
        name = Path(self.folder) / f"{context.stageId()}-{context.partitionId()}-{context.attemptNumber()}"
        name.with_suffix(".started").write_text(str(os.getpid()))
        started, engines, rows = time.time(), set(), 0
        for frame in self.generate(self._slowly(batches)):
            engines.update(frame.get("engine_id", []))
            rows += len(frame)
            yield frame
        record = {
            "stage": context.stageId(),
            "partition": context.partitionId(),
            "executor": str(Path.cwd()),
            "worker": os.getpid(),
            "assigned": list(gpus.addresses) if gpus else [],
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES", _UNSET),
            "visible_at_torch_import": _when_imported.get("torch"),
            "device_order": os.environ.get("CUDA_DEVICE_ORDER", _UNSET),
            "code": _file_of("spark_prox"),
            "engines": sorted(engines),
            "rows": rows,
            "started": started,
            "finished": time.time(),
        }
        name.with_suffix(".json").write_text(json.dumps(record))

    def _slowly(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            time.sleep(self.delay_s)
            yield batch


@dataclass(frozen=True, kw_only=True)
class Count:
    """For `mapInPandas`: a row with the number of rows, as any stage without a model might run; waits `delay_s`."""

    delay_s: float = 0.0

    def __call__(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """One row per task."""
        time.sleep(self.delay_s)
        yield pd.DataFrame({"rows": [sum(len(batch) for batch in batches)]})


class _Watch(MetaPathFinder):
    """Notes which GPUs are visible when torch is imported; finds nothing."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Called by the import system for modules that are not imported yet."""
        if fullname == "torch":
            _when_imported.setdefault(fullname, os.environ.get("CUDA_VISIBLE_DEVICES", _UNSET))


def _file_of(module: str) -> str | None:
    found = sys.modules.get(module)
    return found.__file__ if found else None
