from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import ClassVar

import pytest

from spark_prox.config.model import ModelSpec
from spark_prox.engines import worker
from spark_prox.engines.base import Completion, Request
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


class _Model:
    """An engine that takes memory of which the process has room for `ROOM`."""

    ROOM = 2
    held: ClassVar[list[str]] = []

    def __init__(self, spec: ModelSpec) -> None:
        if len(_Model.held) >= self.ROOM:
            raise ModelError("MODEL_UNLOADABLE", "out of memory")
        self.path = spec.path
        _Model.held.append(spec.path)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        return iter(())

    def close(self) -> None:
        _Model.held.remove(self.path)


def test_engines_stay_beside_each_other_until_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Model, "held", [])
    monkeypatch.setattr(worker, "_load", _Model)
    for path in ("doc", "chunk"):
        worker.engine_for(ModelSpec(path=path))
    assert _Model.held == ["doc", "chunk"]
    worker.engine_for(ModelSpec(path="third"))  # there is no room: the others go
    assert _Model.held == ["third"]
    worker.engine_for(ModelSpec(path="fourth", exclusive=True))  # there is room, and it is not wanted
    assert _Model.held == ["fourth"]
    worker.release_engines()
    assert _Model.held == []


def test_a_model_that_no_memory_holds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Model, "held", [])
    monkeypatch.setattr(_Model, "ROOM", 0)
    monkeypatch.setattr(worker, "_load", _Model)
    with pytest.raises(ModelError, match="MODEL_UNLOADABLE"):
        worker.engine_for(ModelSpec(path="doc"))


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
    assert worker.engine_name(ModelSpec(path="a-model")) == "transformers"
    assert worker.engine_name(ModelSpec()) == "encoder"  # the embedded refiner
