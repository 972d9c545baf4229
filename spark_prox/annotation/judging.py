"""Read an annotator's answers and check them: scores and the keep rule, programs and their merging, cleaned texts.

What a reasoning model thought before it answered is no answer.

Total: any answer gives a judgement with a status and a code. A judgement is a pure function of the text, the answers
and the limits, so that stored answers can be judged again under other limits. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from spark_prox.documents import split_lines
from spark_prox.programs import (
    CallStatus,
    KeepAll,
    Op,
    RemoveLines,
    ReplaceText,
    format_program,
    parse_program,
    program_from_pair,
    refine_text,
)
from spark_prox.programs.thoughts import answer_of
from spark_prox.programs.write import line_ranges

__all__ = ["Judgement", "Status", "judge_clean", "judge_programs", "judge_scores", "keeps", "read_score"]

_SCALE = re.compile(r"\b0\s{0,3}(?:-|–|to|\.\.)\s{0,3}5\b")
_LABELLED_SCORE = re.compile(
    r"(?:score|rating|points?|total)\W{0,8}?(?:is|of)?\W{0,8}?(-?\d+(?:\.\d+)?)", re.IGNORECASE
)
_OUT_OF_FIVE = re.compile(r"(\d+(?:\.\d+)?)\s{0,3}(?:/|out of)\s{0,3}5\b", re.IGNORECASE)
_LONE_NUMBER = re.compile(r"\W*(\d+(?:\.\d+)?)\W*")
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)


class Status(str, Enum):
    """What became of one annotation."""

    OK = "OK"
    REJECTED = "REJECTED"  # the answer is no usable label; the code says why
    SKIPPED = "SKIPPED"  # nothing was asked: the text cannot be shown
    FAILED = "FAILED"  # no answer could be had; asked again by the next run

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the answers amount to.

    Attributes:
        code: why, where the status is not OK.
        detail: the question or figure concerned; never text of the document.
        program: the label; line numbers count from the passage's first line. None where the status is not OK.
        education, format: the two scores, from 0 to 5.
    """

    status: Status
    code: str | None = None
    detail: str | None = None
    program: str | None = None
    education: int | None = None
    format: int | None = None


def read_score(answer: str) -> int | None:
    """A whole score from 0 to 5: the last one that is named as such, or a number that stands alone."""
    answer = _SCALE.sub("", answer_of(answer))
    for pattern in (_LABELLED_SCORE, _OUT_OF_FIVE):
        if found := pattern.findall(answer):
            return _whole(found[-1])
    alone = _LONE_NUMBER.fullmatch(answer.strip())
    return _whole(alone.group(1)) if alone else None


def keeps(education: int, format_quality: int) -> bool:
    """ProX's rule (arXiv 2409.17115, appendix A): education 3 or more, or 2 in a good format (4 or more)."""
    return education >= 3 or (education == 2 and format_quality >= 4)


def judge_scores(answers: Mapping[str, str]) -> Judgement:
    """Two scores of a document: keep or drop it.

    Args:
        answers: of the questions `education` and `format`.
    """
    scores = {name: read_score(answer) for name, answer in answers.items()}
    unread = sorted(name for name, score in scores.items() if score is None)
    education, format_quality = scores["education"], scores["format"]
    if education is None or format_quality is None:
        return Judgement(
            status=Status.REJECTED,
            code="SCORE_UNREADABLE",
            detail=", ".join(unread),
            education=education,
            format=format_quality,
        )
    return Judgement(
        status=Status.OK,
        program="keep_doc()" if keeps(education, format_quality) else "drop_doc()",
        education=education,
        format=format_quality,
    )


def judge_programs(text: str, answers: Mapping[str, str], *, max_removed_share: float) -> Judgement:
    """One program of deletions merged from the programs of several questions about a chunk.

    Every call of every answer has to be readable, allowed and true of this chunk: an answer that names a line or a
    string that is not there is no label.
    """
    removed: set[int] = set()
    strings: dict[str, None] = {}
    count = len(split_lines(text))
    for name, answer in answers.items():
        ops = _deletions(text, answer, count)
        if isinstance(ops, str):
            return Judgement(status=Status.REJECTED, code=ops, detail=name)
        for op in ops:
            if isinstance(op, RemoveLines):
                removed.update(range(op.first, op.last + 1))
            elif isinstance(op, ReplaceText):
                strings[op.source] = None
    staying = "\n".join(line for number, line in enumerate(split_lines(text)) if number not in removed)
    merged: list[Op] = [ReplaceText(source, "") for source in strings if source in staying]
    merged += [RemoveLines(first, last) for first, last in line_ranges(removed)]
    return _limited(text, format_program(merged), max_removed_share)


def judge_clean(text: str, answer: str, *, min_confidence: float, max_removed_share: float) -> Judgement:
    """The program that makes the cleaned text out of a chunk: deletions only, and thrown out where it does not."""
    cleaned = _unmarked(_unfenced(answer_of(answer))).strip("\n")
    if not cleaned.strip():
        return Judgement(status=Status.REJECTED, code="EMPTY_ANSWER")
    pair = program_from_pair(text, cleaned, min_confidence=min_confidence)
    if not pair.accepted:
        return Judgement(status=Status.REJECTED, code="LOW_CONFIDENCE", detail=f"{pair.confidence:.3f}")
    return _limited(text, pair.program, max_removed_share)


def _whole(number: str) -> int | None:
    value = float(number)
    return int(value) if value in (0, 1, 2, 3, 4, 5) else None


def _unfenced(answer: str) -> str:
    """What stands in the last fence of an answer; all of it where there is none."""
    fenced = _FENCED.findall(answer)
    return fenced[-1] if fenced else answer


def _unmarked(answer: str) -> str:
    """What stands between [doc] and [/doc], either of which may be missing."""
    return answer.partition("[doc]")[2 if "[doc]" in answer else 0].rpartition("[/doc]")[0 if "[/doc]" in answer else 2]


def _deletions(text: str, answer: str, lines: int) -> list[Op] | str:
    """An answer's operations, or why it is no label."""
    parsed = parse_program(_unfenced(answer_of(answer)))
    if not parsed.calls:
        return "EMPTY_ANSWER" if parsed.blank else "NO_CALL"
    for error in parsed.errors:
        if error.counted:
            return str(error.code)
    ops = list(parsed.program)
    if len(ops) < len(parsed.calls):
        return "TRUNCATED"
    for op in ops:
        if isinstance(op, RemoveLines):
            if not 0 <= op.first <= op.last < lines:
                return "OUT_OF_RANGE"
        elif isinstance(op, ReplaceText):
            if op.target:
                return "NOT_A_DELETION"
            if not op.source.strip() or op.source not in text:
                return "ABSENT"
        elif not isinstance(op, KeepAll):
            return "CALL_NOT_ASKED_FOR"
    return ops


def _limited(text: str, program: str, max_removed_share: float) -> Judgement:
    """Run the program: every call has to act, and no more may go than the limit allows."""
    done = refine_text(text, program, policy="permissive")
    for call in done.calls:
        if call.status is not CallStatus.APPLIED:
            return Judgement(status=Status.REJECTED, code=str(call.code or "NO_MATCH"))
    share = 1 - done.words_after / done.words_before if done.words_before else 0.0
    if share > max_removed_share:
        return Judgement(status=Status.REJECTED, code="REMOVES_TOO_MUCH", detail=f"{share:.3f}")
    return Judgement(status=Status.OK, program=program)
