"""The scripts for a lent GPU at toy size on the CPU: nobody debugs them on the card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.model

_NOT_ON_A_CPU = {"sdpa_cudnn_equal_lengths", "cudnn_varlen"}


def speed(repository: Path, folder: Path, *options: str) -> dict[str, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "dev/gpu/speed.py", "--toy", "--device", "cpu", "--output", str(folder), *options],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_part_of_speed_gives_figures(repository: Path, tmp_path: Path) -> None:
    found = speed(repository, tmp_path, "--seconds", "600", "--skip", "compiled")
    parts = found["parts"]
    assert found["ended"] == "complete"
    assert {name: part for name, part in parts.items() if "error" in part or part.get("errors")} == {}
    assert [name for name, part in parts.items() if "left_out" in part] == ["compiled"]
    assert parts["correct"]["margin_max_difference"] < 1e-4  # type: ignore[operator]
    assert parts["correct"]["tokens_agree"] == 1.0
    refused = {name for name, figure in parts["attention_kinds"].items() if isinstance(figure, str)}
    assert refused == _NOT_ON_A_CPU


def test_a_run_that_is_out_of_time_leaves_what_it_has_and_another_goes_on(repository: Path, tmp_path: Path) -> None:
    first = speed(repository, tmp_path, "--seconds", "0.01")
    assert first["ended"] == "the budget was over"
    skipped = [
        "profile_read", "products", "decode_steps", "before", "attention_kinds", "compiled", "mixed_lengths",
        "tokens_per_pass", "upstream_generate",
    ]  # fmt: skip
    second = speed(repository, tmp_path, "--seconds", "600", "--resume", "--skip", *skipped)
    assert second["ended"] == "complete"
    assert second["parts"]["read_ours"]["requests"] == 8  # type: ignore[index]
