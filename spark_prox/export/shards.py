"""A shard: the documents that go into it, the files it is made of, the record that is kept of it.

Knows no format and no Spark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from spark_prox.errors import TableError
from spark_prox.export.destination import WORK_FOLDER, WrittenFile
from spark_prox.export.placing import ShardRange

__all__ = ["ExportDocument", "ShardName", "ShardRecord", "ShardTally", "record_path", "shard_names"]


class ExportDocument(NamedTuple):
    """One document as it goes into a shard.

    Attributes:
        tokens: by the tokenizer that the warehouse counted with, where it did; None for another one to count.
        copy: 0 for the first, 1 for the second time a mixture takes it.
        extra: the values of the configured columns.
    """

    doc_id: str
    text: str
    url: str | None = None
    source: str | None = None
    crawl: str | None = None
    tokens: int | None = None
    copy: int = 0
    extra: tuple[object, ...] = ()


class ShardName(NamedTuple):
    """A shard's number in the export, its split, and its number in that."""

    number: int
    split: str
    place: int

    def path(self, suffix: str) -> str:
        """The path of a file of it."""
        return f"{self.split}/shard-{self.place:05d}{suffix}"


def shard_names(ranges: Sequence[ShardRange]) -> list[ShardName]:
    """All shards of an export."""
    return [ShardName(first + place, split, place) for split, first, size in ranges for place in range(size)]


def record_path(number: int) -> str:
    """The place of the record of a finished shard, while an export is not done."""
    return f"{WORK_FOLDER}/shards/{number:06d}.json"


@dataclass
class ShardTally:
    """Counts the documents of a shard while it is written."""

    documents: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    text_bytes: int = 0
    uncounted: int = 0

    def add(self, document: ExportDocument, tokens: int | None) -> None:
        """Count a document with its tokens, if they are known."""
        source = document.source or ""
        self.documents[source] += 1
        self.text_bytes += len(document.text.encode("utf-8", "replace"))
        if tokens is None:
            self.uncounted += 1
        else:
            self.tokens[source] += tokens


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What is known of a finished shard.

    Attributes:
        documents, tokens: by source; a document that was taken twice counts twice.
        uncounted: documents whose tokens nobody counted.
        facts: numbers that a format needs for its index, by name.
    """

    number: int
    split: str
    files: tuple[WrittenFile, ...]
    documents: Mapping[str, int]
    tokens: Mapping[str, int]
    text_bytes: int = 0
    uncounted: int = 0
    facts: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The record as JSON."""
        return {
            "number": self.number,
            "split": self.split,
            "documents": sum(self.documents.values()),
            "tokens": None if self.uncounted else sum(self.tokens.values()),
            "text_bytes": self.text_bytes,
            "by_source": {
                name: {"documents": count, "tokens": self.tokens.get(name, 0)}
                for name, count in sorted(self.documents.items())
            },
            "uncounted": self.uncounted,
            "facts": dict(self.facts),
            "files": [file._asdict() for file in self.files],
        }

    @classmethod
    def from_json(cls, tree: object) -> ShardRecord:
        """Back from `as_json`.

        Raises:
            TableError: EXPORT_DAMAGED.
        """
        try:
            if not isinstance(tree, Mapping):
                raise TypeError
            return cls(
                number=int(tree["number"]),
                split=str(tree["split"]),
                files=tuple(WrittenFile(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in tree["files"]),
                documents={str(name): int(of["documents"]) for name, of in tree["by_source"].items()},
                tokens={str(name): int(of["tokens"]) for name, of in tree["by_source"].items()},
                text_bytes=int(tree["text_bytes"]),
                uncounted=int(tree["uncounted"]),
                facts={str(name): int(value) for name, value in tree["facts"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TableError(
                "EXPORT_DAMAGED", "The record of a shard cannot be read.", "Export into another folder."
            ) from None
