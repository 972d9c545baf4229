"""The frame around the alternatives: watching and killing a command, counting its rows. No model runs here."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.alternatives import crossing_rows, missing, row_ids, speed_rows, write_pages
from bench.watching import AnswerLog, Watched, watch

ANSWERING = """
import sys, time
from bench.watching import AnswerLog
log = AnswerLog(sys.argv[1])
for _ in range(int(sys.argv[2])):
    log.add([(100, 10), (50, 5)])
    time.sleep(float(sys.argv[3]))
"""


def answering(repository: Path, folder: Path, times: int, pause_s: float, kill_at: int = 0) -> Watched:
    words = [sys.executable, "-c", ANSWERING, str(folder / "answers"), str(times), str(pause_s)]
    return watch(words, {**os.environ, "PYTHONPATH": str(repository)}, folder / "answers", folder / "log", kill_at)


def test_a_command_is_watched_to_its_end(repository: Path, tmp_path: Path) -> None:
    found = answering(repository, tmp_path, 3, 0.2)
    assert (found.code, found.answers, found.prompt_tokens, found.output_tokens) == (0, 6, 450, 45)
    assert 0 < found.first_s < found.wall_s
    assert 0 < found.first_cpu_s <= found.cpu_s
    assert found.peak_mib > 1


def test_a_command_is_killed_when_enough_answers_are_there(repository: Path, tmp_path: Path) -> None:
    found = answering(repository, tmp_path, 1_000, 0.05, kill_at=4)
    assert found.code == -9
    assert 4 <= found.answers < 2_000


def test_a_line_that_a_kill_cut_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("[1.5, 10, 2]\n[2.5, 1")
    assert AnswerLog(tmp_path / "answers").read() == [(1.5, 10, 2)]


def test_rows_of_files_and_of_a_delta_table_are_counted(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n')
    (tmp_path / "1.jsonl").write_text('{"id": "a"}\n')
    assert Counter(row_ids("upstream", tmp_path)) == {"a": 2, "b": 1}
    log = tmp_path / "refined" / "_delta_log"
    log.mkdir(parents=True)
    for name, ids in (("one", ["a", "b"]), ("two", ["c"])):
        pq.write_table(pa.table({"doc_id": ids}), log.parent / name)
    (log / "00000.json").write_text('{"metaData": {}}\n{"add": {"path": "one"}}\n')
    (log / "00001.json").write_text('{"remove": {"path": "one"}}\n{"add": {"path": "two"}}\n')
    assert list(row_ids("ours", tmp_path)) == ["c"]


def run(cpu_s: float) -> Watched:
    return Watched(
        code=0, wall_s=30, cpu_s=cpu_s, first_s=10, first_cpu_s=5, peak_mib=900, answers=8, prompt_tokens=900,
        output_tokens=100,
    )  # fmt: skip


def test_each_alternative_stands_beside_the_first_one() -> None:
    rows = {
        str(row["what"]): row for row in speed_rows({"upstream": [run(25), run(45)], "ours": [run(15), run(15)]}, 40)
    }
    assert rows["upstream"]["documents/s after the first answer"]["median"] == 2  # type: ignore[index]
    assert rows["ours"]["tokens/s after the first answer"]["median"] == 50  # type: ignore[index]
    assert rows["ours against upstream"]["by CPU s"] == {"median": 3, "least": 2, "most": 4, "rounds": 2}


def test_the_size_from_which_fixed_costs_are_gone() -> None:
    few = {"upstream": [run(60), run(20), run(30)], "ours": [run(110)]}
    *_, last = crossing_rows(few, 100, {"upstream": run(120), "ours": run(155)}, 1_000)
    assert last["from, pages"] == pytest.approx((105 - 20) / (0.1 - 0.05))  # 20 + 0.1 a page, 105 + 0.05 a page
    assert last["at many pages, times"] == 2
    *_, never = crossing_rows(few, 100, {"upstream": run(75), "ours": run(200)}, 1_000)
    assert never["from, pages"] == "never"


def test_what_cannot_run_here_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.alternatives.find_spec", lambda _: None)
    assert missing(["ours", "datatrove", "vllm"], "") == {
        "datatrove": "no environment with datatrove (--datatrove PYTHON)",
        "vllm": "vLLM is not installed",
    }


def test_pages_have_ids_of_their_own(tmp_path: Path) -> None:
    write_pages(tmp_path / "pages", 60, 500)
    rows = [json.loads(line) for line in (tmp_path / "pages").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == 60
    assert max(len(row["text"]) for row in rows) == 500
    write_pages(tmp_path / "pages", 2_000, 500)
    rows = [json.loads(line) for line in (tmp_path / "pages").read_text().splitlines()]
    assert min(len(row["text"]) for row in rows) > 250
