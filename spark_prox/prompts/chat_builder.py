"""Prompts inside Qwen's chat: a system text and the document, with thinking switched off.

The marks of the chat are control tokens; text of the document never is. For ReScraper (arXiv 2609.34287) and models
that were fine-tuned like it. A model that was trained with a system text of its own has it in `system_prompt.txt` in
its folder. Knows no engine.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from spark_prox.errors import ModelError
from spark_prox.metadata import check_regular
from spark_prox.models import load_tokenizer, model_directory
from spark_prox.prompts.builder import PromptSpec
from spark_prox.prompts.text_builder import TextPromptBuilder
from spark_prox.prompts.text_tokenizer import AnyTokenizer

__all__ = ["ChatPromptBuilder"]

_SYSTEM_FILE = "system_prompt.txt"
_MAX_BYTES = 1 << 20
_BEFORE = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"

_logger = logging.getLogger(__name__)


class ChatPromptBuilder(TextPromptBuilder):
    """Prompts of a system text and a document, for models that were fine-tuned on Qwen's chat."""

    def __init__(self, spec: PromptSpec, tokenizer: AnyTokenizer, *, system: str) -> None:
        """
        Args:
            system: what the model is told before the document.
        """
        self._before = _with_controls(tokenizer, _BEFORE.format(system))
        self._after = _with_controls(tokenizer, _AFTER)
        super().__init__(spec, tokenizer, bos_token_id=None)

    @classmethod
    def of(cls, spec: PromptSpec) -> ChatPromptBuilder:
        """See `BuilderKind`."""
        return cls(spec, load_tokenizer(spec.model_path), system=_system_text(spec))

    @staticmethod
    def parameters(spec: PromptSpec) -> dict[str, object]:
        """See `BuilderKind`: the system text beside what texts have."""
        system = hashlib.sha256(_system_text(spec).encode()).hexdigest()[:16]
        return TextPromptBuilder.parameters(spec) | {"system": system}

    def _prompt_ids(self, shown: str) -> tuple[int, ...]:
        return self._before + self._encode(shown) + self._after

    def _template_tokens(self) -> int:
        return len(self._before) + len(self._after)


def _with_controls(tokenizer: AnyTokenizer, text: str) -> tuple[int, ...]:
    """Token ids of the template's own text, in which the names of control tokens are control tokens."""
    whole = getattr(tokenizer, "whole", tokenizer)
    return tuple(whole.encode(text, add_special_tokens=False).ids)


def _system_text(spec: PromptSpec) -> str:
    """The system text in the model's folder, else the template's.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    file = Path(model_directory(spec.model_path, weights=False)) / _SYSTEM_FILE
    if not file.exists():
        _logger.info("%s has no %s: the template's own system text is used", spec.model_path, _SYSTEM_FILE)
        return spec.template.system
    try:
        if check_regular(file) > _MAX_BYTES:
            raise ValueError("too long")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ModelError(
            "MODEL_BAD_METADATA",
            f"{file} cannot be read as a system text ({type(error).__name__}).",
            f"Expected UTF-8 text of at most {_MAX_BYTES >> 20} MiB.",
        ) from None
