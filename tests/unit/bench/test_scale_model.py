"""The model on paper, by numbers that can be worked out by hand; and what scaling says of a log of tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.scale_model import Cluster, Measured, check_rows, level_seconds, main, plan
from bench.scaling import document_lengths, figures, scaling_rows

ROUND = Measured(
    read_tokens_s=100,
    write_tokens_s=50,
    cpu_ingest_s=1,
    cpu_execute_s=2,
    portion_s=10,
    task_s=1,
    idle_share=0,
    text_bytes=40,
    token_bytes=4,
    packed=0.5,
    doc_tokens=10,
    kept_share=0.5,
    chunk_growth=1,
    removed_share=0.2,
    work_row_bytes=100,
)
TWO = Cluster(gpus=2, cores_per_gpu=5, batch_documents=100, tasks_per_slot=5, file_bytes=1_000, gpu_hour=3)


def test_the_hours_of_a_thousand_pages_on_two_gpus() -> None:
    found = plan(1_000, TWO, ROUND)
    # 10,000 tokens at 100/s are 100 s, on two GPUs 50; ten portions of 10 s and five tasks of 1 s.
    assert found["hours, document level"] * 3600 == pytest.approx(50 + 10 * 15)
    # 500 documents of 10 tokens at 50/s are 100 s, on two GPUs 50; five portions.
    assert found["hours, chunk level"] * 3600 == pytest.approx(50 + 5 * 15)
    assert found["hours, ingest"] * 3600 == pytest.approx(100)
    assert found["hours, execute"] * 3600 == pytest.approx(200 + 10 * 10)
    assert found["hours, all"] * 3600 == pytest.approx(200 + 125 + 100 + 300)
    assert found["GPUs busy while generating"] == pytest.approx(100 / 325)
    assert found["cost"] == pytest.approx(725 * 2 / 3600 * 3)


def test_the_files_of_a_thousand_pages() -> None:
    found = plan(1_000, TWO, ROUND)
    assert found["`documents`, TB"] * 1e12 == pytest.approx(20_000)
    assert found["`refined`, TB"] * 1e12 == pytest.approx(500 * 40 * 0.8 * 0.5)
    assert found["`edits`, TB"] * 1e12 == pytest.approx(500 * 40 * 0.2 * 0.5)
    assert found["files of `documents`"] == pytest.approx(20)
    assert found["portions (commits)"] == pytest.approx(15)
    assert found["files of `programs` before OPTIMIZE"] == pytest.approx(15 * 10)  # a file for each of five tasks a GPU
    assert found["`programs` read by execute, TB"] * 1e12 == pytest.approx(1_000 * 150 + 500 * 250 * 3)
    assert found["work lists on executors, GB"] * 1e9 == pytest.approx(100_000)


def test_larger_portions_are_what_makes_more_gpus_worth_it() -> None:
    small, large = (plan(3e9, Cluster(gpus=64, batch_documents=size), Measured()) for size in (50_000, 5e6))
    assert small["GPUs busy while generating"] < 0.3
    assert large["GPUs busy while generating"] > 0.9
    assert level_seconds(100, 1, 10, 5, Measured(portion_s=6, task_s=0.2, idle_share=0.5)) == pytest.approx(27)


def test_one_worker_predicts_the_others() -> None:
    runs = [
        {"what": "even", "workers": 1, "tokens": 100, "stage, s": 102.0, "outside, s": 2.0},
        {"what": "even", "workers": 4, "tokens": 400, "stage, s": 125.0, "outside, s": 2.0},
    ]
    assert [(row["predicted, s"], row["error"]) for row in check_rows(runs)] == [(102.0, "+0%"), (102.0, "-18%")]


def test_measured_scaling_is_found_beside_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"what": "even", "workers": 1, "tokens": 100, "stage, s": 102.0, "outside, s": 2.0}
    (tmp_path / "scaling.json").write_text(json.dumps({"rows": [run]}))
    monkeypatch.setattr("sys.argv", ["scale_model.py", "--output", str(tmp_path / "scale_model.json")])
    main()
    rows = json.loads((tmp_path / "scale_model.json").read_text())["rows"]
    assert [row["error"] for row in rows if "error" in row] == ["+0%"]


def test_efficiency_and_idle_time_from_a_log_of_tasks() -> None:
    tasks = [
        {"worker": 1, "begun": 10, "ended": 20, "slept": 9, "tokens": 50},
        {"worker": 1, "begun": 20, "ended": 26, "slept": 6, "tokens": 30},
        {"worker": 2, "begun": 11, "ended": 30, "slept": 18, "tokens": 80},
    ]
    found = figures(tasks, 2, 22.0)
    assert found == {"seconds": 22, "tokens": 160, "busy": 0.75, "outside": 2, "tail": 2, "longest": 18}
    one = {"seconds": 20.0, "tokens": 80.0, "busy": 1, "outside": 0, "tail": 0, "longest": 20, "cores": 1}
    rows = scaling_rows("even", {1: one, 2: {**found, "cores": 0.5}})
    assert [row["efficiency"] for row in rows] == [1, pytest.approx(160 / 22 / 2 / 4, abs=1e-3)]


def test_a_skewed_corpus_has_one_document_of_half_a_workers_share() -> None:
    lengths = document_lengths("skewed", 800, 2_000, workers=8)
    assert lengths[0] == 100_000 == pytest.approx(sum(lengths) / 16, rel=0.02)
    even = document_lengths("even", 800, 2_000, workers=8)
    assert max(even) < 3_001
