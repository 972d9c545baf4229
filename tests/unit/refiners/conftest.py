"""Fixtures of the refiner tests: a tokenizer trained in a second, and the prompt encoder on it."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from spark_prox.refiners.compact import CompactPrompt
from spark_prox.refiners.synthetic import synthetic_pages
from spark_prox.refiners.tokenizer import save_tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    lines = [line for page in synthetic_pages(40) for line in page.lines]
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(lines, vocabulary=768), folder, max_tokens=2048)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture
def prompt(tokenizer: Tokenizer) -> CompactPrompt:
    return CompactPrompt(tokenizer)
