"""Pages with one human label a line, and the split of hosts into training, validation and test.

Reads the JSON-lines layout of `gold_lines`: `{id, url, source, text, keep}` with one 0/1 for each line of `text`.
The split goes by registered host, so that no site is in two splits. Knows nothing of models.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from spark_prox.documents import split_lines
from spark_prox.errors import InputError

__all__ = [
    "SPLITS",
    "LabelledPage",
    "group_of",
    "line_weight",
    "load_labelled_pages",
    "pages_of_split",
    "registered_host",
    "split_of",
]

SPLITS = ("train", "validation", "test")
_TEST_PERCENT, _VALIDATION_PERCENT = 15, 10
# Second-level labels under which registries sell names (co.uk, com.br, ...); the public suffix list would be exact,
# but a split only needs the same answer for every page of a site.
_SECOND_LEVEL_TEXT = """
ac co com edu gob gouv gov go gv ltd mil ne net or org sch
"""
_SECOND_LEVEL = frozenset(_SECOND_LEVEL_TEXT.split())


@dataclass(frozen=True, kw_only=True)
class LabelledPage:
    """One page with a label for each line.

    Attributes:
        page_id: unique within its source.
        url: None if unknown.
        source: which collection the labels come from.
        lines: the page's lines.
        keep: probability that each line is main content: 0 or 1 where a person said so, else a teacher's score.
    """

    page_id: str
    source: str
    lines: tuple[str, ...]
    keep: tuple[float, ...] = field(repr=False)
    url: str | None = None

    def __post_init__(self) -> None:
        if len(self.lines) != len(self.keep):
            raise InputError(
                "LABELS_DISAGREE",
                f"page {self.page_id!r} has {len(self.lines)} lines but {len(self.keep)} labels.",
                "Give one label for each line of text.split('\\n').",
            )


def registered_host(url: str | None) -> str | None:
    """The part of a host that somebody registered: `https://a.b.co.uk/x` gives `b.co.uk`. None without a host."""
    try:
        host = (urlsplit(url).hostname or "") if url else ""
    except ValueError:
        return None
    labels = [label for label in host.lower().split(".") if label]
    if len(labels) <= 2 or labels[-1].isdigit():
        return ".".join(labels) or None
    registry_labels = 3 if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-registry_labels:])


def group_of(page: LabelledPage) -> str:
    """The group that a split keeps together: the registered host, or the page itself if its URL is unknown."""
    return registered_host(page.url) or f"{page.source}:{page.page_id}"


def split_of(page: LabelledPage) -> str:
    """The page's split, from a hash of its group: 15% test, 10% validation, the rest training."""
    percent = int.from_bytes(hashlib.sha256(group_of(page).encode()).digest()[:8], "big") % 100
    if percent < _TEST_PERCENT:
        return "test"
    return "validation" if percent < _TEST_PERCENT + _VALIDATION_PERCENT else "train"


def pages_of_split(pages: Iterable[LabelledPage], split: str) -> list[LabelledPage]:
    """The pages of one split, in their order."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    return [page for page in pages if split_of(page) == split]


def line_weight(words: int, *, most: float = 8.0) -> float:
    """The cost of a mistake on a line: the square root of its words, at least 1 and at most `most`."""
    return max(1.0, min(most, math.sqrt(words)))


def _rows(path: Path) -> Iterator[dict[str, object]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def load_labelled_pages(paths: Iterable[str | Path]) -> list[LabelledPage]:
    """Read pages from `.jsonl` or `.jsonl.gz` files, or from every such file of a folder.

    Raises:
        InputError: a path that does not exist, a row without the needed keys, or lines and labels that disagree.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError("LABELS_MISSING", f"no labelled pages at {path}.", "Name an existing file or folder.")
        files += sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
    pages = []
    for file in files:
        for number, row in enumerate(_rows(file), start=1):
            text, keep, page_id = row.get("text"), row.get("keep"), row.get("id")
            if not isinstance(text, str) or not isinstance(keep, list) or page_id is None:
                raise InputError(
                    "LABELS_BAD_ROW",
                    f"row {number} of {file.name} has keys {sorted(row)}.",
                    "Each row needs id, text and keep; url and source are optional.",
                )
            url = row.get("url")
            pages.append(
                LabelledPage(
                    page_id=str(page_id),
                    source=str(row.get("source") or file.name.split(".")[0]),
                    url=url if isinstance(url, str) else None,
                    lines=tuple(split_lines(text)),
                    keep=tuple(float(value) for value in keep),
                )
            )
    return pages
