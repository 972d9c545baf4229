"""The corpus-quality bench runs anywhere, and a second run measures nothing again."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest


def test_the_bench_compares_arms_and_goes_on_with_what_is_missing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["corpus_quality.py", "--smoke", "--output", str(tmp_path), "--arms", "keep"]
    for arms, said in ((["gold"], "4/4 runs"), (["gold", "ten_words"], "2/2 runs")):
        monkeypatch.setattr(sys, "argv", [*command, *arms])
        runpy.run_path(str(repository / "bench" / "corpus_quality.py"), run_name="__main__")
        assert said in capsys.readouterr().out
    rows = {row["arm"]: row for row in json.loads((tmp_path / "figures.json").read_text())["arms"]}
    assert set(rows) == {"keep", "gold", "ten_words"}
    assert rows["keep"]["difference"] == 0
    low, high = rows["gold"]["difference_interval"]
    assert low < rows["gold"]["difference"] < high < 0  # text without menus teaches text without menus
    assert rows["gold"]["loss_interval"][0] < rows["gold"]["loss"] < rows["gold"]["loss_interval"][1]
    assert rows["gold"]["tokens"] < rows["keep"]["tokens"]
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert "minus keep" in (tmp_path / "table.md").read_text()
