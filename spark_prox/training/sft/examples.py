"""Training examples for fine-tuning: a text and the program that a good refiner writes for it.

Read from JSON lines, one object a line: id, stage ("doc" or "chunk"), text and program; host, source and weight are
optional. A chunk program's line numbers are those of `text`, 0-based, whatever document the text was cut from; a text
longer than a chunk is fine. Also made from line-labelled pages. Knows no tokenizer.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spark_prox.annotation.document_labels import labelled_document
from spark_prox.annotation.labels import LabelledPage, registered_host, split_of
from spark_prox.documents import Level, join_lines
from spark_prox.errors import InputError
from spark_prox.programs import RemoveAll, RemoveLines, parse_program, refine_text, remove_lines_program

__all__ = ["Example", "document_examples", "load_examples", "page_example"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One text with its program.

    Attributes:
        example_id: unique within its source.
        host: registered host of the text, or `source:document` where there is none: what no split may tear apart.
        program: what to write for `text`, in the language of `spark_prox.programs`.
        weight: what it counts, where an ordinary example counts 1.
    """

    example_id: str
    stage: Level
    text: str = field(repr=False)
    program: str = field(repr=False)
    source: str = "examples"
    host: str | None = None
    weight: float = 1.0

    def as_page(self) -> LabelledPage:
        """A page of the same host and source, so that examples and labelled pages are split alike."""
        host = self.host or f"{self.source}:{self.example_id}"
        if ":" not in host:
            return LabelledPage(page_id=host, source=self.source, url=f"https://{host}/", lines=(), keep=())
        prefix = f"{self.source}:"  # jobs/annotate.py puts it before a page's own id, which may have it already
        page_id = host.removeprefix(prefix).removeprefix(prefix)
        return LabelledPage(page_id=page_id, source=self.source, url=None, lines=(), keep=())

    @property
    def split(self) -> str:
        """train, validation or test, by host."""
        return split_of(self.as_page())

    @property
    def removed_lines(self) -> set[int]:
        """The lines of `text` that the program removes."""
        count = self.text.count("\n") + 1
        removed: set[int] = set()
        for op in parse_program(self.program).program:
            if isinstance(op, RemoveAll):
                removed.update(range(count))
            elif isinstance(op, RemoveLines):
                removed.update(range(op.first, min(op.last + 1, count)))
        return removed

    @property
    def wanted_text(self) -> str:
        """What is left of `text` when the program is executed without any doubt about it."""
        return refine_text(self.text, self.program, policy="permissive").text or ""


def page_example(page: LabelledPage) -> Example:
    """The chunk-stage example of a labelled page: a program that removes what people do not keep."""
    removed = (number for number, keep in enumerate(page.keep) if keep < 0.5)
    return Example(
        example_id=page.page_id,
        stage="chunk",
        text=join_lines(list(page.lines)),
        program=remove_lines_program(removed),
        source=page.source,
        host=registered_host(page.url),
    )


def document_examples(pages: Sequence[LabelledPage], *, per_page: float, seed: int) -> list[Example]:
    """Document-stage examples made from labelled pages; one that is hard to decide counts less."""
    source = random.Random(f"{seed}/document examples")
    examples = []
    for page in pages:
        for number in range(int(per_page) + (source.random() < per_page % 1)):
            lines, keep = labelled_document(page, source)
            examples.append(
                Example(
                    example_id=f"{page.page_id}/document {number}",
                    stage="doc",
                    text=join_lines(lines),
                    program="keep_doc()" if keep >= 0.5 else "drop_doc()",
                    source=page.source,
                    host=registered_host(page.url),
                    weight=max(0.05, 2 * abs(keep - 0.5)),
                )
            )
    return examples


def load_examples(paths: Iterable[str | Path]) -> list[Example]:
    """Read examples from `.jsonl` or `.jsonl.gz` files, or from every such file of a folder.

    Raises:
        InputError: EXAMPLES_MISSING, EXAMPLES_BAD_ROW.
    """
    examples = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError("EXAMPLES_MISSING", f"no training examples at {path}.", "Name an existing file or folder.")
        for file in sorted(path.glob("*.json*")) if path.is_dir() else [path]:
            opener = gzip.open if file.suffix == ".gz" else open
            with opener(file, "rt", encoding="utf-8") as stream:
                examples += [_example(line, number, file.name) for number, line in enumerate(stream, start=1)]
    return examples


def _example(line: str, number: int, name: str) -> Example:
    try:
        row = json.loads(line)
        text, program, stage = row["text"], row["program"], row["stage"]
        if not isinstance(text, str) or not isinstance(program, str) or stage not in ("doc", "chunk"):
            raise ValueError
        example = Example(
            example_id=str(row["id"]),
            stage=stage,
            text=text,
            program=program,
            source=str(row.get("source") or name.partition(".")[0]),
            host=row.get("host") or None,
            weight=float(row.get("weight", 1.0)),
        )
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "EXAMPLES_BAD_ROW",
            f"row {number} of {name} is no training example.",
            "It needs id, stage (doc or chunk), text and program; host, source and weight are optional.",
        ) from None
    if (parsed := parse_program(program)).errors or not parsed.program:
        raise InputError(
            "EXAMPLES_BAD_ROW",
            f"the program in row {number} of {name} has an error: nothing should be trained on it.",
            "See docs/programs.md.",
        )
    return example
