"""The pure tier: no Spark. Models are made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import write_tiny_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in the released refiners' shape."""
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")
