"""The pure tier: no Spark. Models are made once per session."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer
from spark_prox.training.synthetic import synthetic_pages


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
