"""Labelling of one document after the other: keys in, screens and a label file out.

What is labelled already is passed over, so a person quits and goes on whenever they like. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from spark_prox.annotation.label_files import LabelFile
from spark_prox.annotation.labelling import LineMarks, begin, press
from spark_prox.annotation.labels import LabelledPage
from spark_prox.documents import split_lines

__all__ = ["SampledDocument", "label_documents", "pending"]


@dataclass(frozen=True, kw_only=True)
class SampledDocument:
    """A document that a person is asked about.

    Attributes:
        removed: which of its lines the run removed.
        outcome: what the run made of it.
    """

    doc_id: str
    url: str | None
    source: str
    outcome: str
    text: str = field(repr=False)
    removed: tuple[bool, ...] = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """As programs count them."""
        return split_lines(self.text)


def pending(documents: Sequence[SampledDocument], labels: LabelFile) -> list[SampledDocument]:
    """The documents that the file has no labels of, or labels of another text."""
    return [
        document
        for document in documents
        if document.doc_id not in labels.pages or list(labels.pages[document.doc_id].lines) != document.lines
    ]


def label_documents(
    documents: Sequence[SampledDocument],
    labels: LabelFile,
    keys: Iterator[str],
    draw: Callable[[LineMarks, SampledDocument, str], None],
    *,
    hides: bool = False,
) -> int:
    """Ask about each document until all are done or the person quits; stores after each.

    Args:
        keys: as `press` takes them; their end is a quit.
        draw: shows a document's marks, with a title.
        hides: do not show what the run decided.

    Returns:
        How many were labelled.

    Raises:
        InputError: LABELS_UNWRITABLE.
    """
    waiting, done = pending(documents, labels), 0
    for number, document in enumerate(waiting, start=1):
        title = (
            f"{number} of {len(waiting)}  {'' if hides else document.outcome + '  '}{document.url or document.doc_id}"
        )
        state = begin(len(document.lines), None if hides else document.removed)
        while state.ending is None:
            draw(state, document, title)
            key = next(keys, None)
            if key is None:
                return done
            state = press(state, key)
        if state.ending == "quit":
            return done
        if state.ending == "stored":
            labels.add(_page(document, state))
            done += 1
    return done


def _page(document: SampledDocument, state: LineMarks) -> LabelledPage:
    return LabelledPage(
        page_id=document.doc_id,
        url=document.url,
        source=document.source,
        lines=tuple(document.lines),
        keep=tuple(float(keep) for keep in state.keep()),
    )
