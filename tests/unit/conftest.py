"""The pure tier: no Spark. Models are made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer
from spark_prox.training.synthetic import synthetic_pages


@pytest.fixture(scope="session")
def compact_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder for the compact layout: a tokenizer that is trained in a second, and no weights."""
    lines = [line for page in synthetic_pages(40) for line in page.lines]
    folder = tmp_path_factory.mktemp("compact-model")
    save_tokenizer(train_tokenizer(lines, vocabulary=768), folder, max_tokens=2048)
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tokenizer(compact_model: Path) -> Tokenizer:
    """A small tokenizer."""
    return Tokenizer.from_file(str(compact_model / "tokenizer.json"))


@pytest.fixture
def prompt(tokenizer: Tokenizer) -> CompactPrompt:
    """The prompt encoder on that tokenizer."""
    return CompactPrompt(tokenizer)
