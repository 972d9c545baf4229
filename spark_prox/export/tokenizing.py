"""The tokenizer of an export: which files, which token ends a document, how wide a token is.

Loads nothing but tokenizers; text never becomes a control token.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError
from spark_prox.export.shards import ExportDocument
from spark_prox.models import load_tokenizer, model_directory, model_token_ids
from spark_prox.prompts.encoding import encode_whole
from spark_prox.prompts.text_tokenizer import TextTokenizer

__all__ = ["ExportTokenizer", "find_tokenizer", "tokenized"]


@dataclass(frozen=True, kw_only=True)
class ExportTokenizer:
    """A tokenizer: what identifies it, and what a format has to know of it.

    Attributes:
        path: model directory or file, as executors see it.
        fingerprint: of its vocabulary and rules.
        vocabulary: number of token ids.
        eos: id of the token that ends a document; None where only tokens are counted.
    """

    path: str
    fingerprint: str
    vocabulary: int
    eos: int | None

    def load(self) -> TextTokenizer:
        """The tokenizer, loaded once a process.

        Raises:
            ModelError: MODEL_NO_TOKENIZER and others.
        """
        return load_tokenizer(self.path)


def find_tokenizer(path: str, eos: str, *, needs_eos: bool) -> ExportTokenizer:
    """The tokenizer that a configuration names.

    Args:
        eos: the token that ends a document; "" for the one that the model's configuration names.
        needs_eos: whether there has to be one.

    Raises:
        ModelError: MODEL_NOT_FOUND, MODEL_NO_TOKENIZER, EXPORT_NO_EOS.
    """
    tokenizer: Any = load_tokenizer(path)
    ids = [tokenizer.token_to_id(eos)] if eos else _configured_eos(path)
    if needs_eos and (not ids or ids[0] is None):
        raise ModelError(
            "EXPORT_NO_EOS",
            f"The tokenizer {path[:200]!r} has no token {eos[:80]!r}."
            if eos
            else f"{path[:200]!r} names no EOS token.",
            "Name the token that ends a document: --eos '</s>'.",
        )
    return ExportTokenizer(
        path=path,
        fingerprint=hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16],
        vocabulary=1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0),
        eos=ids[0] if ids else None,
    )


def tokenized(documents: Iterable[ExportDocument], tokenizer: ExportTokenizer) -> Iterator[tuple[ExportDocument, Any]]:
    """Documents with their token ids, in order; without special tokens. A few are read ahead."""
    waiting: deque[ExportDocument] = deque()

    def texts() -> Iterator[str]:
        for document in documents:
            waiting.append(document)
            yield document.text

    for ids in encode_whole(tokenizer.load(), texts()):
        yield waiting.popleft(), ids


def _configured_eos(path: str) -> list[int]:
    file = Path(path).expanduser()
    if not file.is_file():
        return list(model_token_ids(path, "eos_token_id"))
    if (file.parent / "config.json").is_file():
        return list(model_token_ids(str(model_directory(str(file.parent), weights=False)), "eos_token_id"))
    return []
