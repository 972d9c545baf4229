"""Tables of a Hive metastore (Derby, in the process), by names of two levels and of three.

Needs Spark, and a session of its own: which catalog a session has is decided when it starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark import runs


@pytest.mark.slow
def test_a_run_into_a_hive_metastore_is_found_by_both_names(tiny_llama: Path, repository: Path, tmp_path: Path) -> None:
    text = "Menu | Shop\nThe river rose two metres and the bridge was closed."
    source = runs.write_lines(tmp_path / "in.jsonl", [{"id": f"d{n}", "text": f"{text} {n}", "n": n} for n in range(3)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.spark.hive_child", str(tiny_llama), str(source), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["catalog:spark_catalog.corpus"] == said["catalog:corpus"] == 3
    assert said["catalog:spark_catalog.corpus ingested"] == 3
    assert said["catalog:corpus ingested"] == 0  # the same tables: nothing is left to do
    assert {*said["tables"]} >= {"documents", "programs", "refined", "rejects", "runs"}
    assert said["provider"] == "delta"
    assert said["outcomes"] == [["EDITED", "EDITS", 3]]
    assert said["mine"] == [0, 1, 2]
