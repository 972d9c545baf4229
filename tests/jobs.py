"""Jobs in the process of the test: a command line does what it does to the script, and no interpreter has to start."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from spark_prox import jobkit

ROOT = Path(__file__).parent.parent


@cache
def load_job(name: str) -> ModuleType:
    """The script as a module; `jobs/` is no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_job", ROOT / "jobs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_job(name: str, *words: str) -> int:
    """The exit code of a job with this command line."""
    job = load_job(name)
    return jobkit.run(job.PARSER, getattr(job, name), words)
