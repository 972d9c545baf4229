"""How annotation asks and how it checks the answers: the section `annotate` of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spark_prox.config.limits import check_least, check_shares

__all__ = ["AnnotateConfig"]


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig:
    """Settings of jobs/annotate.py; the annotating model itself is `model`.

    Attributes:
        doc_prompt: prompt file of the document stage.
        chunk_prompt: prompt file of the chunk stage: for programs, or for the cleaned text.
        chat: "auto" wraps a question in the tokenizer's chat template where it has one; "never" for a base model.
        max_prompt_tokens: context window that a question and its answer share, in tokens.
        max_chunk_tokens: budget of one chunk's lines, in tokens; that of the refiner that learns from the examples.
        max_removed_share: a program that removes more of a chunk's words than this is not believed.
        min_confidence: least agreement, from 0 to 1, of the cleaned text with what the derived program makes of it.
        max_documents: ask about at most so many documents, chosen by a hash of their ids; 0 for all.
    """

    doc_prompt: str = "conf/prompts/document-scores.yaml"
    chunk_prompt: str = "conf/prompts/chunk-programs.yaml"
    chat: Literal["auto", "never"] = "auto"
    max_prompt_tokens: int = 8192
    max_chunk_tokens: int = 1500
    max_removed_share: float = 0.95
    min_confidence: float = 0.98
    max_documents: int = 0

    def __post_init__(self) -> None:
        check_least(self, 1, "max_prompt_tokens", "max_chunk_tokens")
        check_least(self, 0, "max_documents")
        check_shares(self, "max_removed_share", "min_confidence")
