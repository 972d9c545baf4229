"""Load a model or a tokenizer with transformers: the one place that calls `from_pretrained`.

Code that lies in a model's folder is never run, and nobody is asked whether it should be. Nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["load_causal_model", "load_transformers_tokenizer"]


def load_causal_model(directory: str | Path, **options: Any) -> Any:
    """A `transformers` causal language model; raises what transformers raises."""
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, directory, options)


def load_transformers_tokenizer(directory: str | Path) -> Any:
    """A `transformers` tokenizer; raises what transformers raises."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, directory, {})


def _load(cls: Any, directory: str | Path, options: dict[str, Any]) -> Any:
    return cls.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False, **options)
