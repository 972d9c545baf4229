"""Fine-tuning in several processes that Spark's TorchDistributor starts, from the job, as spark-submit runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_prox.training.sft.recipe import fine_tune
from tests.quick_spark import QUICK_JVM
from tests.unit.training.sft_models import obvious_examples, small_config, write_examples, write_small_model


@pytest.mark.slow
def test_two_processes_started_by_spark_train_the_model_of_one(repository: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    rows = obvious_examples(60)
    model = write_small_model(tmp_path / "base", rows)
    config = small_config(
        model, tmp_path / "one", write_examples(rows, tmp_path / "rows.jsonl"), micro_batch_tokens=300, evaluate_pages=4
    )
    fine_tune(config)
    settings = {
        name: getattr(config, name)
        for name in (
            *("model", "chunk_template", "doc_template", "max_prompt_tokens", "max_chunk_tokens", "max_new_tokens"),
            *("epochs", "batch_examples", "micro_batch_tokens", "learning_rate", "final_learning_rate", "precision"),
            *("device", "evaluate_pages"),
        )
    }
    settings |= {"kind": "sft", "examples": list(config.examples), "output": str(tmp_path / "two")}
    settings |= {"distributed": "torch_distributor", "processes": 2, "local_mode": True}
    (tmp_path / "train.json").write_text(json.dumps(settings))  # JSON is YAML
    submit = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2]", "--driver-memory", "1g"]
    done = subprocess.run(
        [*submit, "jobs/train.py", "--config", str(tmp_path / "train.json")],
        cwd=repository,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_SUBMIT_OPTS": QUICK_JVM},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "min left" in done.stdout + done.stderr  # the leading process's progress reaches the driver's output
    logs = [json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1]) for name in ("one", "two")]
    assert logs[0]["tokens"] == logs[1]["tokens"]
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=1e-3)
    one, two = (load_file(tmp_path / name / "latest" / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        assert (tensor - two[name]).abs().max() < 5e-3, name
