"""Loading a model's files runs no code that lies beside them, asks nobody and fetches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.annotation.asking import ask_spec
from spark_prox.annotation.questions import AnnotationPrompt, Question
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.errors import ModelError
from spark_prox.models import load_tokenizer
from spark_prox.pretrained import load_causal_model, load_transformers_tokenizer


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder with code of its own; asking on the terminal fails the test, as running the code does."""
    folder = tmp_path / "model"
    folder.mkdir()
    auto = {name: f"trap.{name}" for name in ("AutoConfig", "AutoModelForCausalLM")}
    auto_map = auto | {"AutoTokenizer": ["trap.AutoTokenizer", "trap.AutoTokenizer"]}
    (folder / "config.json").write_text(json.dumps({"model_type": "trap", "auto_map": auto_map}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "TrapTokenizer", "auto_map": auto_map})
    )
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "trap.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")

    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked whether code may run")

    monkeypatch.setattr("builtins.input", ask)
    return folder


def test_code_beside_a_model_is_not_run(trap: Path) -> None:
    for load in (load_causal_model, load_transformers_tokenizer):
        with pytest.raises((OSError, ValueError, KeyError, ImportError)):
            load(trap)
    with pytest.raises(ModelError, match="MODEL_NO_TOKENIZER"):
        load_tokenizer(str(trap))
    question = Question(name="education", before="", after="")
    prompt = AnnotationPrompt(
        name="p", version=1, stage="doc", asks_for="scores", system="", questions=(question,), max_new_tokens=8
    )
    with pytest.raises(ModelError, match="MODEL_NO_TOKENIZER"):
        ask_spec(prompt, str(trap), AnnotateConfig())
    assert not (trap.parent / "ran").exists()
