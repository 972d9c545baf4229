"""Annotate a stream of documents: send every passage's questions to an engine and check the answers.

A passage's questions are asked side by side; its annotation comes when all are answered. A question that cannot be
asked or answered gives an annotation with a status, never an exception. Knows engines by their protocol only and
nothing of Spark.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spark_prox.annotation.asking import Asker, AskSpec, Passage
from spark_prox.annotation.judging import Judgement, Status, judge_clean, judge_programs, judge_scores
from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Engine, Request

__all__ = ["Annotation", "Answer", "annotate_documents", "judge"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one question.

    Attributes:
        error: a code and the cause, if there is no answer.
    """

    question: str
    answer: str | None
    finish_reason: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One row of `annotations`, without what is the same for a whole run."""

    doc_id: str
    doc_hash: str | None
    chunk_index: int
    chunk_count: int
    first_line: int
    line_count: int
    text: str = field(repr=False)
    answers: tuple[Answer, ...] = field(repr=False)
    judgement: Judgement
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass
class _Open:
    """A passage some of whose questions are in flight."""

    document: Document
    passage: Passage
    answers: dict[str, Answer] = field(default_factory=dict)
    prompt_tokens: int = 0
    output_tokens: int = 0


def judge(spec: AskSpec, text: str, answers: Sequence[Answer]) -> Judgement:
    """Turn a passage's answers into one judgement. Never raises."""
    for answer in answers:
        if answer.error is not None or answer.answer is None:
            return Judgement(status=Status.FAILED, code="NO_ANSWER", detail=f"{answer.question}: {answer.error}")
    texts = {answer.question: answer.answer or "" for answer in answers}
    try:
        if spec.asks_for == "scores":
            return judge_scores(texts)  # a long reasoning that is cut off has no score, which says it
        cut = next((answer.question for answer in answers if answer.finish_reason == "length"), None)
        if cut is not None:
            return Judgement(status=Status.REJECTED, code="TRUNCATED", detail=cut)
        if spec.asks_for == "programs":
            return judge_programs(text, texts, max_removed_share=spec.max_removed_share)
        (cleaned,) = texts.values()
        return judge_clean(text, cleaned, min_confidence=spec.min_confidence, max_removed_share=spec.max_removed_share)
    except Exception as error:  # noqa: BLE001 - a defect of ours must cost one row, not a task of thousands
        return Judgement(status=Status.REJECTED, code="JUDGE_ERROR", detail=type(error).__name__)


def annotate_documents(documents: Iterable[Document], engine: Engine, spec: AskSpec) -> Iterator[Annotation]:
    """Annotations of a stream of documents, in the order in which the engine finishes them."""
    asker = Asker(spec)
    asked: dict[int, tuple[_Open, str]] = {}
    request_ids = itertools.count()
    unasked: deque[Annotation] = deque()

    def requests() -> Iterator[Request]:
        for document in documents:
            try:
                passages = asker.passages(document.text)
            except Exception as error:  # noqa: BLE001 - hostile text must not kill the task; the row says what happened
                skipped = Judgement(status=Status.SKIPPED, code="PROMPT_FAILED", detail=type(error).__name__)
                passage = Passage(chunk=None, chunk_count=1, text=document.text, shown=None)
                unasked.append(_annotation(_Open(document, passage), skipped))
                continue
            for passage in passages:
                opened = _Open(document, passage)
                if passage.shown is None:
                    unasked.append(_annotation(opened, Judgement(status=Status.SKIPPED, code="LINE_TOO_LONG")))
                    continue
                for question in spec.questions:
                    request_id = next(request_ids)
                    asked[request_id] = (opened, question.name)
                    yield Request(
                        request_id=request_id,
                        prompt_token_ids=asker.prompt(passage, question),
                        max_new_tokens=spec.max_new_tokens,
                    )

    for completion in engine.complete(requests()):
        while unasked:
            yield unasked.popleft()
        opened, question = asked.pop(completion.request_id)
        _take(opened, question, completion)
        if len(opened.answers) == len(spec.questions):
            answers = [opened.answers[question.name] for question in spec.questions]
            yield _annotation(opened, judge(spec, opened.passage.text, answers), answers)
    yield from unasked


def _take(opened: _Open, question: str, completion: Completion) -> None:
    failed = completion.finish_reason == "error"
    opened.answers[question] = Answer(
        question=question,
        answer=None if failed else completion.text,
        finish_reason=completion.finish_reason,
        error=f"{completion.error_code}: {completion.error_detail}" if failed else None,
    )
    opened.prompt_tokens += completion.prompt_tokens
    opened.output_tokens += completion.output_tokens


def _annotation(opened: _Open, judgement: Judgement, answers: Sequence[Answer] = ()) -> Annotation:
    chunk, text = opened.passage.chunk, opened.passage.text
    return Annotation(
        doc_id=opened.document.doc_id,
        doc_hash=opened.document.doc_hash,
        chunk_index=chunk.chunk_index if chunk else -1,
        chunk_count=opened.passage.chunk_count,
        first_line=chunk.first_line if chunk else 0,
        line_count=text.count("\n") + 1,
        text=text,
        answers=tuple(answers),
        judgement=judgement,
        prompt_tokens=opened.prompt_tokens,
        output_tokens=opened.output_tokens,
    )
