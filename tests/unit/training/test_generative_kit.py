"""The kit that fine-tunes the generative refiner on a lent card, tried whole on a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_prox.engines.lora import merge_adapter

ROOT = Path(__file__).resolve().parents[3]
KIT = ROOT / "dev" / "gpu"


def run_kit(output: Path, *more: str) -> str:
    command = [sys.executable, str(KIT / "generative.py"), "--toy", "--device", "cpu", "--output", str(output)]
    budget = ["--seconds", "400", "--score-seconds", "200", "--batch-tokens", "2048", "--generate", "32"]
    done = subprocess.run(
        [*command, *budget, *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("kit") / "generative"
    run_kit(output, "--max-steps", "12")
    return output


def test_a_run_leaves_figures_programs_and_an_adapter(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert results["training"]["steps"] == 12
    sets = {f"{split}{name}" for split in ("", "test ") for name in ("raw", "extracted", "normalize")}
    assert sets | {"raw/toy", "test raw/toy"} == set(results["pages"])
    assert results["documents"]["documents"] > 0
    assert results["last"]["valid_loss"] > 0
    programs = [json.loads(line) for line in (finished / "programs.jsonl").read_text().splitlines()]
    assert len(programs) == sum(results["pages"][name]["pages"] for name in sets)


def test_the_adapter_fits_the_base_as_an_engine_loads_it(finished: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = json.loads((finished.with_name("generative.state") / "packs" / "config.json").read_text())
    model = LlamaForCausalLM(LlamaConfig(**config))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert merge_adapter(model, str(finished)) == 7 * config["num_hidden_layers"]
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) == 7 * config["num_hidden_layers"]


def test_another_run_begins_with_the_adapter(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(KIT))
    from lora_llama import LoraLlama
    from packed_model import load_packed_model

    config, state = load_packed_model(finished.with_name("generative.state") / "packs")
    model = LoraLlama(config, state, rank=16, alpha=32, device="cpu", seed=5)
    model.load_adapter(finished)
    model.save_adapter(tmp_path)
    file = "adapter_model.safetensors"
    assert (tmp_path / file).read_bytes() == (finished / file).read_bytes()


def test_a_run_that_is_started_again_goes_on_from_its_state(finished: Path) -> None:
    said = run_kit(finished, "--max-steps", "14")
    assert "resumed at step 12" in said
    assert json.loads((finished / "results.json").read_text())["training"]["steps"] == 14


def test_packed_weights_are_the_files_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(KIT))
    import numpy as np
    from pack_model import layer_streams
    from packed_model import q4_1_parts
    from packs import read_packs, write_pack

    from spark_prox.gguf import q4_1

    source = np.random.default_rng(0)
    head = source.normal(0, 0.05, (640, 2)).astype(np.float16).view(np.uint8)
    blocks = np.concatenate([head, source.integers(0, 256, (640, 16), dtype=np.uint8)], axis=1)
    write_pack(tmp_path / "model-a.pack", layer_streams("x", blocks))
    found = read_packs(tmp_path, "*.pack")
    unpacked = q4_1_parts(found["x/nibbles"], found["x/scales"], found["x/minima"])
    assert np.array_equal(unpacked, q4_1(blocks))
