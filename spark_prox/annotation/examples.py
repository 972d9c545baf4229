"""Training examples: one row for each usable label, whoever gave it; and labels that people gave line by line.

An example is `{id, host, stage, text, program, source, weight}`, one JSON object a line: `text` is the document, or the
chunk's lines, and the program's line numbers count from its first line. Knows no model and no Spark.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spark_prox.annotation.judging import Judgement, Status
from spark_prox.annotation.labels import LabelledPage, load_labelled_pages, registered_host
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.documents import Level, document_hash, join_lines
from spark_prox.models import load_tokenizer
from spark_prox.programs import remove_lines_program
from spark_prox.prompts.chunking import split_chunks
from spark_prox.prompts.text_tokenizer import TextTokenizer

__all__ = [
    "PEOPLE",
    "LabelledExample",
    "PeoplesLabel",
    "example_of",
    "labels_of_people",
    "labels_revision",
    "write_examples",
]

PEOPLE = "people"
"""The table's name for the annotator of labels that people gave."""

_LINE_FORMAT = "[{:03d}]"  # as the refiners' templates number lines: chunks are cut to the same budget


@dataclass(frozen=True, kw_only=True)
class LabelledExample:
    """One example to learn from.

    Attributes:
        host: registered host, by which splits are made; the document itself where its URL is unknown.
        weight: the cost of a mistake relative to other examples.
    """

    id: str
    host: str
    stage: Level
    text: str = field(repr=False)
    program: str = field(repr=False)
    source: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PeoplesLabel:
    """One chunk of a page that people labelled line by line: a row of `annotations`, but for what a run adds."""

    doc_id: str
    doc_hash: str
    url: str | None
    source: str
    chunk_index: int
    chunk_count: int
    first_line: int
    line_count: int
    text: str = field(repr=False)
    judgement: Judgement


def example_of(
    *, doc_id: str, url: str | None, source: str | None, stage: str, chunk_index: int, text: str, program: str
) -> LabelledExample:
    """The example that a row of `annotations` gives."""
    return LabelledExample(
        id=doc_id if stage == "doc" else f"{doc_id}#{chunk_index}",
        host=registered_host(url) or f"{source or 'unknown'}:{doc_id}",
        stage="doc" if stage == "doc" else "chunk",
        text=text,
        program=program,
        source=source or "unknown",
    )


def labels_of_people(paths: Iterable[str | Path], config: AnnotateConfig, model_path: str) -> Iterator[PeoplesLabel]:
    """Chunks of line-labelled pages, each with the program that removes what people would not keep.

    Args:
        paths: files or folders in the layout of `spark_prox.annotation.labels`.
        config: the token budget of a chunk.
        model_path: whose tokenizer counts.

    Raises:
        InputError: LABELS_MISSING, LABELS_BAD_ROW, LABELS_DISAGREE.
    """
    tokenizer = load_tokenizer(model_path)
    for page in load_labelled_pages(paths):
        yield from _page_labels(page, tokenizer, config.max_chunk_tokens)


def labels_revision(paths: Iterable[str | Path]) -> str:
    """A hash of the label files: the revision of `people`."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        for file in sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return "labels-" + digest.hexdigest()[:16]


def write_examples(examples: Iterable[LabelledExample], path: str | Path) -> int:
    """Write examples as JSON lines, gzipped where the name ends in .gz; gives their number."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    count = 0
    with opener(path, "wt", encoding="utf-8") as stream:
        for example in examples:
            stream.write(json.dumps(asdict(example), ensure_ascii=False) + "\n")
            count += 1
    return count


def _page_labels(page: LabelledPage, tokenizer: TextTokenizer, max_chunk_tokens: int) -> Iterator[PeoplesLabel]:
    shown = [_LINE_FORMAT.format(number) + line + "\n" for number, line in enumerate(page.lines)]
    tokens = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(shown, add_special_tokens=False)]
    chunks = split_chunks(page.lines, tokens, max_tokens=max_chunk_tokens)
    doc_hash = document_hash(join_lines(list(page.lines)))
    for chunk in chunks:
        keep = page.keep[chunk.first_line : chunk.last_line + 1]
        program = remove_lines_program(number for number, value in enumerate(keep) if value < 0.5)
        yield PeoplesLabel(
            doc_id=f"{page.source}:{page.page_id}",
            doc_hash=doc_hash,
            url=page.url,
            source=page.source,
            chunk_index=chunk.chunk_index,
            chunk_count=len(chunks),
            first_line=chunk.first_line,
            line_count=len(chunk.lines),
            text=join_lines(list(chunk.lines)),
            judgement=Judgement(status=Status.SKIPPED, code="LINE_TOO_LONG")
            if chunk.too_long
            else Judgement(status=Status.OK, program=program),
        )
