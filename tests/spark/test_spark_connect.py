"""The facade and the example notebook over Spark Connect, in one process beside the tier's own session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox import connect
from tests.spark import facade_cases

if TYPE_CHECKING:
    from tests.spark.conftest import Finished


def test_notebook_and_facade_work_over_spark_connect(
    finished: Finished, tiny_llama: Path, repository: Path, tmp_path: Path
) -> None:
    pytest.importorskip("grpc_status", reason="the extra `connect` is not installed")
    notebook = json.loads((repository / "examples" / "refine.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = tmp_path / "cells.py"
    script.write_text("\n".join(cells), encoding="utf-8")
    warehouse, _ = finished.copy(tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.spark.connect_child",
            str(script),
            str(warehouse),
            str(tiny_llama),
            str(tmp_path),
        ],
        cwd=repository / "examples",
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["session"] == "pyspark.sql.connect.session"
    # What a notebook shows is what it gives today.
    shown = next(cell for cell in notebook["cells"] if cell.get("outputs") and "outcome" in str(cell["outputs"]))
    table = "".join(shown["outputs"][0]["data"]["text/plain"])
    assert len(said["notebook"]) == 19
    for name, outcome in said["notebook"]:
        assert any(name in line and outcome in line for line in table.splitlines()), (name, outcome)
    assert dict(said["notebook"])["lost-page"] == "FAILED"
    assert said["asked"] == facade_cases.asked(connect(str(finished.warehouse)))


def test_the_notebook_was_executed_and_ends_in_a_plot(repository: Path) -> None:
    notebook = json.loads((repository / "examples" / "refine.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
