"""Models of the hub, from a server on the loopback address that speaks its API."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from spark_prox.config.run import load_config
from spark_prox.errors import ModelError
from spark_prox.model_hub import hub_directory, pinned_hub_model
from spark_prox.model_names import HubModel, pinned_model
from spark_prox.models import load_tokenizer, model_directory, pinned_path
from spark_prox.writers import writer_of
from tests.hub_server import COMMIT, REPOSITORY, Hub, hub_of

PINNED = f"{REPOSITORY}@{COMMIT}"


@pytest.fixture
def hub(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the tiny model, in a process whose cache is empty."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    pinned_hub_model.cache_clear()
    hub_directory.cache_clear()
    files = {file.name: file.read_bytes() for file in tiny_llama.iterdir()}
    files |= {"README.md": b"card", "pytorch_model.bin": b"pickle", "onnx/config.json": b"{}"}
    with hub_of(files) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_a_name_is_pinned_to_its_commit_and_every_host_takes_that(hub: Hub, tiny_llama: Path) -> None:
    assert pinned_path(REPOSITORY) == pinned_path(f"{REPOSITORY}@v1") == PINNED
    folder = model_directory(PINNED)
    assert {file.name for file in folder.iterdir()} == {file.name for file in tiny_llama.iterdir()}
    assert (folder / "model.safetensors").read_bytes() == (tiny_llama / "model.safetensors").read_bytes()
    assert hub.asked["pytorch_model.bin"] == 0  # the weights are there once
    assert load_tokenizer(PINNED) is not None


def test_a_host_that_has_the_model_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model_directory(PINNED)
    asked = hub.asked.copy()
    hub_directory.cache_clear()  # as in another process of this host
    model_directory(PINNED)
    assert hub.asked == asked
    # Without a network, a branch is the commit that it was when the model was fetched.
    from huggingface_hub import constants, snapshot_download

    snapshot_download(REPOSITORY, endpoint=hub.url, allow_patterns=["config.json"])  # which notes what main is
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    pinned_hub_model.cache_clear()
    assert pinned_path(REPOSITORY) == PINNED


@pytest.mark.usefixtures("hub")
def test_the_tables_have_the_commit_and_the_name_without_it() -> None:
    config = load_config(None, base={"model.path": REPOSITORY})
    key = writer_of(config, "chunk").key()
    assert (key.model, key.model_revision) == (REPOSITORY, COMMIT)
    assert writer_of(config, "chunk").model.path == PINNED


def test_a_served_model_needs_its_tokenizer_alone(hub: Hub) -> None:
    config = load_config(None, base={"model.path": REPOSITORY, "model.engine": "openai", "model.revision": "r1"})
    writer = writer_of(config, "chunk")
    writer.check()
    assert writer.key().model_revision == "r1"
    assert hub.asked["tokenizer.json"] == 1
    assert hub.asked["model.safetensors"] == 0


def test_two_processes_of_a_host_download_once(hub: Hub, tmp_path: Path, repository: Path) -> None:
    code = "import sys; from spark_prox.models import model_directory; print(model_directory(sys.argv[1]))"
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, PINNED], env=environment, cwd=repository, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = {process.communicate(timeout=60)[0].strip() for process in both}
    assert len(said) == 1
    assert (Path(said.pop()) / "config.json").is_file()
    assert {name: hub.asked[name] for name in ("model.safetensors", "config.json")} == {
        "model.safetensors": 1,
        "config.json": 1,
    }


def test_of_workers_that_come_at_once_one_asks_the_hub(hub: Hub) -> None:
    model = pinned_model(PINNED)
    assert isinstance(model, HubModel)
    threads = [threading.Thread(target=hub_directory.__wrapped__, args=(model,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One lists the files to count their bytes, and again to download them; the others find everything there.
    assert {name: hub.asked[name] for name in ("model.safetensors", "tree")} == {"model.safetensors": 1, "tree": 2}


def test_each_reason_has_a_code(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"MODEL_NOT_FOUND.*no such model"):
        pinned_path("prox/nowhere")
    with pytest.raises(ModelError, match=r"MODEL_NOT_FOUND.*no such revision"):
        pinned_path(f"{REPOSITORY}@v2")
    hub.gated = True
    with pytest.raises(ModelError, match="MODEL_GATED"):
        model_directory(PINNED)
    hub.gated = False
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(ModelError, match=r"MODEL_NO_SPACE.*1,000 free"):
            model_directory(PINNED)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(ModelError, match="MODEL_OFFLINE"):
        pinned_path(f"{REPOSITORY}@v1")


def test_the_model_is_looked_for_before_anything_else_of_a_run_starts(hub: Hub) -> None:
    from spark_prox.pipeline import Pipeline
    from udfs.functions import FUNCTIONS

    hub.gated = True
    config = load_config(None, base={"model.path": REPOSITORY, "spark": {"spark.master": "no-master"}})
    with pytest.raises(ModelError, match="MODEL_GATED"):
        Pipeline(config, FUNCTIONS, name="test")
