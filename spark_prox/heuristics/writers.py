"""Heuristics: writers of programs that are no language model, rule sets and the line classifier.

A heuristic takes a document's lines and writes a program for a level, with margins if it has scores. Its programs go
into the same table and through the same executor as a model's. `model.engine: author` and `model.path` choose one.
Knows no Spark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from spark_prox.documents import Document, Level, split_lines
from spark_prox.errors import ModelError
from spark_prox.generation import GeneratedProgram, ProgramStatus
from spark_prox.heuristics.document_rules import DocumentRule, c4_page_rules, fineweb_quality, gopher_quality
from spark_prox.heuristics.line_classifier import LineClassifier
from spark_prox.heuristics.line_rules import LineRule, c4_rule, keep_everything, program_of, ten_words
from spark_prox.metadata import finite_number, read_object
from spark_prox.programs import remove_lines_program
from spark_prox.programs.spelling import respell

__all__ = [
    "RULE_SETS",
    "ClassifierHeuristic",
    "Heuristic",
    "RuleSet",
    "Written",
    "heuristic_for",
    "heuristic_margins",
    "heuristic_revision",
    "write_programs",
]

_CLASSIFIER = "line_classifier:"


@dataclass(frozen=True, kw_only=True)
class Written:
    """A program and the margins of its writer: fields as in `GeneratedProgram`."""

    program: str
    margin: float | None = None
    line_margins: tuple[float, ...] | None = None


class Heuristic(Protocol):
    """Writes programs from the lines of a document alone."""

    def judge_document(self, lines: Sequence[str]) -> Written:
        """The document level's program: keep or drop."""
        ...

    def edit_lines(self, lines: Sequence[str]) -> Written:
        """The chunk level's program for all lines of a document; line numbers are 0-based."""
        ...


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """Published rules, or a plain one to compare with.

    Attributes:
        version: raised whenever a rule changes, so that stored programs are told apart.
        line_rule: which lines stay.
        document_rule: which rule a document breaks; None to keep all.
    """

    name: str
    version: int
    line_rule: LineRule = keep_everything
    document_rule: DocumentRule | None = None

    def judge_document(self, lines: Sequence[str]) -> Written:
        """See `Heuristic`."""
        broken = self.document_rule(lines) if self.document_rule else None
        return Written(program="keep_doc()" if broken is None else "drop_doc()")

    def edit_lines(self, lines: Sequence[str]) -> Written:
        """See `Heuristic`."""
        return Written(program=program_of(self.line_rule(lines)))


RULE_SETS: dict[str, RuleSet] = {
    rules.name: rules
    for rules in (
        RuleSet(name="keep", version=1),
        RuleSet(name="c4", version=1, line_rule=c4_rule, document_rule=c4_page_rules),
        RuleSet(name="ten_words", version=1, line_rule=ten_words),
        RuleSet(name="gopher", version=1, document_rule=gopher_quality),
        RuleSet(name="fineweb", version=1, document_rule=fineweb_quality),
    )
}


@dataclass(frozen=True)
class ClassifierHeuristic:
    """The line classifier as a heuristic: it removes a line if removal is likelier than keeping, with that as margin.

    It never drops a whole document.
    """

    classifier: LineClassifier

    def judge_document(self, lines: Sequence[str]) -> Written:
        """See `Heuristic`."""
        return Written(program="keep_doc()")

    def edit_lines(self, lines: Sequence[str]) -> Written:
        """See `Heuristic`."""
        margins = tuple(self.classifier.margins(lines))
        program = remove_lines_program(number for number, margin in enumerate(margins) if margin < 0)
        return Written(program=program, line_margins=margins)


@lru_cache(maxsize=4)
def heuristic_for(path: str) -> Heuristic:
    """The heuristic that `model.path` names: a rule set, or `line_classifier:FILE`. A process reads a file once.

    Raises:
        ModelError: AUTHOR_UNKNOWN, AUTHOR_MISSING.
    """
    if path.startswith(_CLASSIFIER):
        return ClassifierHeuristic(LineClassifier.load(_classifier_file(path)))
    if path not in RULE_SETS:
        raise ModelError(
            "AUTHOR_UNKNOWN", f"There is no heuristic {path!r}.", f"Use {', '.join(RULE_SETS)} or {_CLASSIFIER}FILE."
        )
    return RULE_SETS[path]


def heuristic_revision(path: str) -> str:
    """The revision of a heuristic in the tables: a rule set's name and version, or the hash of a file.

    Raises:
        ModelError: AUTHOR_UNKNOWN, AUTHOR_MISSING.
    """
    if path.startswith(_CLASSIFIER):
        return "author-" + hashlib.sha256(_classifier_file(path).read_bytes()).hexdigest()[:16]
    rules = heuristic_for(path)
    assert isinstance(rules, RuleSet)
    return f"author-{rules.name}-{rules.version}"


def heuristic_margins(path: str) -> dict[str, float]:
    """Recommended margins, as `models.recommended_margins` gives them: from `thresholds.json` beside a classifier."""
    if not path.startswith(_CLASSIFIER):
        return {}
    file = _classifier_file(path).with_suffix(".thresholds.json")
    if not file.is_file():
        return {}
    return {"min_remove_margin": finite_number(file, read_object(file), "min_remove_margin")}


def write_programs(
    documents: Iterable[Document], heuristic: Heuristic, *, stage: Level, dialect: str = "prox"
) -> Iterator[GeneratedProgram]:
    """One row for each document: a heuristic needs no window, so a document is one chunk.

    A document on which a heuristic fails gives a row with a status, never an exception.

    Args:
        dialect: the spelling of programs of the chunk level.
    """
    for document in documents:
        lines = split_lines(document.text)
        written: Written | None = None
        error: str | None = None
        try:
            written = heuristic.judge_document(lines) if stage == "doc" else heuristic.edit_lines(lines)
        except Exception as failed:  # noqa: BLE001 - hostile text must not kill the task; the row says what happened
            error = type(failed).__name__
        yield GeneratedProgram(
            doc_id=document.doc_id,
            doc_hash=document.doc_hash,
            chunk_index=-1 if stage == "doc" else 0,
            chunk_count=1,
            first_line=0,
            line_count=len(lines),
            program=_spelt(written.program, stage, dialect) if written else None,
            status=ProgramStatus.OK if written else ProgramStatus.ENGINE_FAILED,
            detail=f"AUTHOR_ERROR: {error}" if error else None,
            finish_reason="stop" if written else "error",
            margin=written.margin if written else None,
            line_margins=written.line_margins if written else None,
        )


def _spelt(program: str, stage: Level, dialect: str) -> str:
    return program if stage == "doc" else respell(program, dialect)


def _classifier_file(path: str) -> Path:
    file = Path(path[len(_CLASSIFIER) :]).expanduser()
    if not file.is_file():
        raise ModelError(
            "AUTHOR_MISSING", f"There is no line classifier {str(file)!r}.", "Train one with jobs/train.py."
        )
    return file
