"""The accounting of the overhead bench: whose CPU seconds count as whose, and what more documents cost."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import overhead
from bench.cpu_times import CpuTimes, CpuWatch
from bench.made_documents import documents
from bench.overhead import STAGES, marginal_rows, markdown, stage_rows

TICKS = os.sysconf("SC_CLK_TCK")
BARE = dict.fromkeys(STAGES, 2.0)


def listed(proc: Path, pid: int, parent: int, name: str, *seconds: int) -> None:
    """One process as /proc lists it: user and system time, and those of its children that have ended."""
    user, system, ended_user, ended_system = (TICKS * value for value in seconds)
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    fields = f"S {parent} 1 1 0 -1 4194560 1 2 3 4 {user} {system} {ended_user} {ended_system} 20 0 9 0 99 5 6"
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {fields}\n")


def test_every_process_below_the_driver_counts_once_and_also_when_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("")
    listed(tmp_path, 10, 1, "python", 3, 1, 100, 100)  # its children are counted by themselves
    listed(tmp_path, 11, 10, "java", 20, 2, 1, 0)  # and a chmod that has ended
    listed(tmp_path, 12, 11, "python (daemon)", 1, 0, 0, 0)
    listed(tmp_path, 13, 12, "python3", 7, 2, 0, 0)
    listed(tmp_path, 14, 1, "java", 50, 50, 0, 0)  # somebody else's
    watch = CpuWatch(10, tmp_path)
    assert watch.now() == CpuTimes(jvm=23, workers=10, driver=4)
    shutil.rmtree(tmp_path / "13")
    listed(tmp_path, 15, 12, "python3", 1, 0, 0, 0)
    assert watch.now() == CpuTimes(jvm=23, workers=11, driver=4)
    assert watch.now().total == 38


def test_this_process_has_used_some() -> None:
    with CpuWatch(os.getpid()) as watch:
        assert watch.now().driver > 0


def run_of(jvm: float, workers: float) -> dict[str, CpuTimes]:
    return {"start": CpuTimes(jvm=9), **{stage: CpuTimes(jvm=jvm, workers=workers) for stage in STAGES}}


def test_fixed_cost_and_cost_of_a_document_come_from_two_sizes() -> None:
    sizes = {1000: run_of(6, 1), 3000: run_of(8, 3)}  # 5 s, and 1 ms a document in each of both
    *stages, everything = marginal_rows("page", sizes, BARE)
    assert [row["stage"] for row in stages] == list(STAGES)
    assert all((row["jvm"], row["workers"], row["all"], row["ratio"]) == (1, 1, 2, 1) for row in stages)
    assert [row["fixed, CPU s"] for row in stages] == [5] * len(STAGES)
    assert (everything["all"], everything["fixed, CPU s"]) == (8, 20)
    assert marginal_rows("page", {1000: sizes[1000]}, BARE) == []


def test_rows_are_a_table_and_json() -> None:
    rows = stage_rows("text", 1000, run_of(6, 1), {**BARE, "generate-chunk": 0.0})
    assert [row["stage"] for row in rows] == [*STAGES, "all", "start, CPU s in all"]
    assert rows[2]["ratio"] is None  # nothing to compare with
    assert json.loads(json.dumps(rows)) == rows
    lines = markdown(rows).split("\n")
    assert len(lines) == len(rows) + 2
    assert len({line.count("|") for line in lines}) == 1


def test_a_bench_prints_tables_and_stores_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def in_process(function: str, settings: list[str], *arguments: str) -> object:
        asked.append(function)
        if function == "measure_bare":
            return BARE
        source, warehouse = map(Path, arguments)
        warehouse.mkdir()
        assert sum(pq.read_metadata(file).num_rows for file in source.iterdir()) in (10, 30)
        return {name: vars(times) for name, times in run_of(6, 1).items()}

    monkeypatch.setattr(overhead, "in_process", in_process)
    output = tmp_path / "overhead.json"
    words = ["--documents", "30", "10", "--modes", "page", "--output", str(output), "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["overhead.py", *words])
    overhead.main()
    assert asked == ["measure_bare", "measure_run", "measure_run"]
    stored = json.loads(output.read_text())
    assert (stored["name"], stored["settings"]["documents"]) == ("overhead", [30, 10])
    assert [row["documents"] for row in stored["rows"]] == ["10"] * 6 + ["30"] * 6 + ["10 to 30"] * 5
    assert "| page | 10 to 30 | all |" in capsys.readouterr().out
    assert not list(tmp_path.glob("warehouse*"))


def test_made_documents_are_the_same_again_and_of_realistic_sizes() -> None:
    some = list(documents(300, seed=3))
    sizes = sorted(len(text) for *_, text in some)
    assert some == list(documents(300, seed=3))
    assert 3_000 < sum(sizes) / len(sizes) < 7_000
    assert sizes[-1] > 5 * sizes[150]
