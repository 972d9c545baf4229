"""The unit of work: a document, its hash and its lines. Knows nothing of where documents come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Document", "document_hash", "join_lines", "split_lines"]


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a corpus.

    Attributes:
        doc_id: unique in its `documents` table.
        text: the whole text; lines are separated by "\\n" alone.
        url: where it was crawled from, if known.
        doc_hash: `document_hash(text)`, where it is known already.
    """

    doc_id: str
    text: str
    url: str | None = None
    doc_hash: str | None = None


def document_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes in lower-case hex, equal to Spark's `sha2(text, 256)`.

    Lone surrogates, which UTF-8 cannot hold, count as "?": what Spark stores in their place.
    """
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def split_lines(text: str) -> list[str]:
    """The lines a program counts, 0-based: separated by "\\n" and by nothing else, as upstream does."""
    return text.split("\n")


def join_lines(lines: list[str]) -> str:
    """The inverse of `split_lines`."""
    return "\n".join(lines)
