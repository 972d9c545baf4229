"""The pure tier: no Spark. Models are made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer
from spark_prox.training.synthetic import synthetic_pages
from tests.tiny_models import write_tiny_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in the released refiners' shape."""
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A small tokenizer, trained in a second."""
    lines = [line for page in synthetic_pages(40) for line in page.lines]
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(lines, vocabulary=768), folder, max_tokens=2048)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture
def prompt(tokenizer: Tokenizer) -> CompactPrompt:
    """The prompt encoder on that tokenizer."""
    return CompactPrompt(tokenizer)
