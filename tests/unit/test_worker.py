from __future__ import annotations

import os

import pytest

from spark_prox.engines import worker
from spark_prox.engines.spec import ModelSpec
from spark_prox.errors import ModelError, SetupError

SCRIPTED = ModelSpec(path="any", engine="scripted")


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker that has just started."""
    monkeypatch.setattr(worker, "_engines", {})
    monkeypatch.setattr(worker, "_engine_ids", {})
    monkeypatch.setattr(os, "environ", {"PATH": "/usr/bin"})


def test_an_engine_is_loaded_once_for_each_model() -> None:
    first = worker.engine_for(SCRIPTED)
    assert worker.engine_for(ModelSpec(path="any", engine="scripted")) is first
    other = ModelSpec(path="other", engine="scripted")
    assert worker.engine_for(other) is not first
    assert worker.loaded_engine_id(SCRIPTED) != worker.loaded_engine_id(other)


def test_a_tasks_gpus_are_the_only_ones_that_its_process_sees() -> None:
    worker.claim_gpus(["3", "1"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,3"
    worker.engine_for(SCRIPTED)
    worker.claim_gpus(["1", "3"])


def test_a_task_on_another_gpu_than_the_loaded_engine_is_refused() -> None:
    worker.claim_gpus(["0"])
    worker.claim_gpus(["1"])  # nothing is loaded yet
    worker.engine_for(SCRIPTED)
    with pytest.raises(SetupError, match=r"GPU_CHANGED.*sits on GPU 1 .* was given 0"):
        worker.claim_gpus(["0"])


def test_a_model_that_is_not_there_is_an_error_with_a_code() -> None:
    with pytest.raises(ModelError, match="MODEL_NOT_FOUND"):
        worker.engine_for(ModelSpec(path="/nowhere", engine="transformers"))


def test_auto_takes_transformers_where_there_is_no_gpu() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert worker.engine_name(ModelSpec()) == "transformers"
