"""Turn documents into programs in one stream: prompts go to an engine, completions become rows.

The engine pulls requests while earlier ones are in flight, across the borders of Arrow batches, so it never drains
between them. A thread reads documents and builds their prompts ahead of it, so it does not wait for them either. A
document that cannot be prompted or completed gives a row with a status, never an exception. Knows engines and prompt
builders by their protocols only; nothing of Spark or pandas.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, TypeVar

from spark_prox.documents import Document, Level, Lines
from spark_prox.engines.base import Completion, Engine, Request
from spark_prox.engines.lookahead import LookAhead
from spark_prox.programs import mark_cut, remove_lines_program, shift_lines
from spark_prox.prompts.builder import ChunkPrompts, Prompt, PromptBuilder, WholePageBuilder
from spark_prox.prompts.chunking import Chunk

__all__ = ["GeneratedProgram", "LineOpinion", "ProgramStatus", "generate_programs"]

A = TypeVar("A")
B = TypeVar("B")

_AHEAD_REQUESTS = 256
_AHEAD_TOKENS = 1 << 19  # a second or two of the fastest GPU, and at most some 20 MB


class ProgramStatus(str, Enum):
    """The result of asking for one program of a document or chunk."""

    OK = "OK"
    LINE_TOO_LONG = "LINE_TOO_LONG"  # the chunk is one line that exceeds the token budget: no model saw it
    TOO_MANY_CHUNKS = "TOO_MANY_CHUNKS"  # the lines behind the last of chunk.max_chunks: no model saw them
    PROMPT_FAILED = "PROMPT_FAILED"  # the document, or this chunk of it, could not be encoded
    ENGINE_FAILED = "ENGINE_FAILED"  # the engine gave an error for this request; the detail says which

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class GeneratedProgram:
    """One row of `programs`, without what is the same for a whole run.

    Attributes:
        chunk_index: -1 for the document level.
        chunk_count: chunks of the document; 1 for the document level.
        first_line: first document line that the program may touch, 0-based.
        line_count: how many lines it may touch.
        program: written by the model or from its margins; None without one.
        margin: document level, log p(keep) - log p(drop) in nats, where it was read.
        line_margins: chunk level, log p(keep) - log p(remove) of each line, where they were read.
        prompt_tokens: tokens that the engine read for it; 0 for a chunk that was read with its document.
    """

    doc_id: str
    doc_hash: str | None
    chunk_index: int
    chunk_count: int
    first_line: int
    line_count: int
    program: str | None
    status: ProgramStatus
    detail: str | None = None
    finish_reason: str | None = None
    margin: float | None = None
    line_margins: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0


class LineOpinion(Protocol):
    """Something beside the model that judges lines, see `spark_prox.heuristics.ensemble`."""

    def margins(self, lines: Sequence[str]) -> Sequence[float]:
        """log p(keep) - log p(remove) of each line of a document."""
        ...

    def combine(self, model: Sequence[float], classifier: Sequence[float]) -> tuple[float, ...]:
        """The margins that count, from those of the model and of this."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Pending:
    doc_id: str
    doc_hash: str | None
    chunk: Chunk | None
    chunk_index: int
    chunk_count: int
    line_count: int
    first_number: int = 0
    other_margins: Sequence[float] | None = None
    only_chunk: _Pending | None = None  # of the same document, read in the same pass

    @property
    def first_line(self) -> int:
        return self.chunk.first_line if self.chunk else 0


def generate_programs(
    documents: Iterable[Document],
    engine: Engine,
    builder: PromptBuilder,
    *,
    stage: Level,
    answers: tuple[str, str] = ("keep_doc()", "drop_doc()"),
    opinion: LineOpinion | None = None,
    whole: WholePageBuilder | None = None,
    dialect: str = "prox",
) -> Iterator[GeneratedProgram]:
    """Programs for a stream of documents, in the order in which the engine finishes them.

    Args:
        documents: read in a thread of its own, at most 256 prompts or half a million tokens ahead of the engine.
        stage: "doc" gives one program a document, "chunk" one for each chunk.
        answers: the programs that a positive and a negative margin of the document level stand for.
        opinion: has a say in the margins of lines where the model's are read; None to take the model's alone.
        whole: `builder`, to have in stage "doc" the program of a document's only chunk as well, from the same pass. It
            comes behind the document's own.
        dialect: the spelling of what the model writes, and of what is written from its margins.
    """
    pending: dict[int, _Pending] = {}
    request_ids = itertools.count()
    without_request: deque[GeneratedProgram] = deque()

    def requests() -> Iterator[Request]:
        for document in documents:
            for place, prompt in _prompts(document, builder, stage, opinion, whole):
                if not isinstance(prompt, Prompt):
                    without_request.append(_without_request(place, prompt))
                    continue
                request_id = next(request_ids)
                pending[request_id] = replace(place, first_number=prompt.first_number)
                yield Request(
                    request_id=request_id,
                    prompt_token_ids=prompt.token_ids,
                    max_new_tokens=prompt.max_new_tokens,
                    read_at=prompt.read_at,
                    read_tokens=prompt.read_tokens,
                    program_lines=None
                    if place.chunk is None
                    else (place.chunk.first_line - prompt.first_number, place.chunk.last_line - prompt.first_number),
                )

    with LookAhead(
        requests(),
        max_items=_AHEAD_REQUESTS,
        max_weight=_AHEAD_TOKENS,
        weight=lambda request: len(request.prompt_token_ids),
    ) as ahead:
        for completion in engine.complete(ahead):
            while without_request:
                yield without_request.popleft()
            yield from _rows(pending.pop(completion.request_id), completion, answers, opinion, dialect)
    yield from without_request


def _prompts(
    document: Document,
    builder: PromptBuilder,
    stage: str,
    opinion: LineOpinion | None,
    whole: WholePageBuilder | None = None,
) -> Iterator[tuple[_Pending, Prompt | Exception | None]]:
    """One prompt after the other, so that those of a long document are never in memory together.

    In place of a prompt that could not be built: why. None: the line is too long. A chunk that cannot be encoded costs
    its own row only; a document whose chunks cannot be told is one row.
    """

    def place(
        chunk_index: int,
        chunk: Chunk | None = None,
        *,
        chunk_count: int = 1,
        other_margins: Sequence[float] | None = None,
    ) -> _Pending:
        return _Pending(
            doc_id=document.doc_id,
            doc_hash=document.doc_hash,
            chunk=chunk,
            chunk_index=chunk_index,
            chunk_count=chunk_count,
            line_count=document.text.count("\n") + 1 if chunk is None else len(chunk.lines),
            other_margins=other_margins,
        )

    def cut(text: str) -> tuple[ChunkPrompts, Sequence[float] | None]:
        return builder.chunk_prompts(text), opinion.margins(Lines(text)) if opinion else None

    if stage == "doc" and whole is not None:
        page = _tried(whole.page_prompt, document.text)
        if isinstance(page, Exception):
            yield place(-1), page
            return
        prompt, chunk = page
        others = opinion.margins(Lines(document.text)) if opinion and chunk else None
        only = place(0, chunk, other_margins=others) if chunk else None
        yield replace(place(-1), only_chunk=only), prompt
        return
    if stage == "doc":
        yield place(-1), _tried(builder.document_prompt, document.text)
        return
    found = _tried(cut, document.text)
    if isinstance(found, Exception):
        if document.part == 0:
            yield place(0), found
        return
    prompts, others = found
    for number in range(document.part, len(prompts), document.parts):
        chunk = prompts.chunks[number]
        margins = others[chunk.first_line : chunk.last_line + 1] if others else None
        here = place(chunk.chunk_index, chunk, chunk_count=len(prompts), other_margins=margins)
        yield here, _tried(prompts.prompt, chunk)


def _tried(function: Callable[[A], B], argument: A) -> B | Exception:
    """Return a function's value or its exception. Hostile text must not kill the task; the row says what happened."""
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001 - see above
        return error


def _rows(
    place: _Pending, completion: Completion, answers: tuple[str, str], opinion: LineOpinion | None, dialect: str
) -> Iterator[GeneratedProgram]:
    """The row of a completion; behind a document's, that of its only chunk where both were read."""
    if place.only_chunk is None or completion.finish_reason == "error":
        yield _row(place, completion, answers, opinion, dialect)
        return
    *of_lines, of_page = completion.margins
    yield _row(place, replace(completion, margins=(of_page,)), answers, opinion, dialect)
    lines = replace(completion, margins=tuple(of_lines), prompt_tokens=0, output_tokens=0)
    yield _row(place.only_chunk, lines, answers, opinion, dialect)


def _row(
    place: _Pending, completion: Completion, answers: tuple[str, str], opinion: LineOpinion | None, dialect: str
) -> GeneratedProgram:
    failed = completion.finish_reason == "error"
    margin: float | None = None
    line_margins: tuple[float, ...] | None = None
    program = None if failed else _stored(completion, place.first_number, dialect)
    if completion.finish_reason == "read":
        if place.chunk is None:
            margin = completion.margins[0]
            program = answers[0] if margin >= 0 else answers[1]
        else:
            line_margins = completion.margins
            if opinion and place.other_margins is not None:
                line_margins = opinion.combine(line_margins, place.other_margins)
            program = remove_lines_program(
                (place.first_line + offset for offset, value in enumerate(line_margins) if value < 0), dialect
            )
    return GeneratedProgram(
        doc_id=place.doc_id,
        doc_hash=place.doc_hash,
        chunk_index=place.chunk_index,
        chunk_count=place.chunk_count,
        first_line=place.first_line,
        line_count=place.line_count,
        program=program,
        status=ProgramStatus.ENGINE_FAILED if failed else ProgramStatus.OK,
        detail=f"{completion.error_code}: {completion.error_detail}" if failed else None,
        finish_reason=completion.finish_reason,
        margin=margin,
        line_margins=line_margins,
        prompt_tokens=completion.prompt_tokens,
        output_tokens=completion.output_tokens,
    )


def _stored(completion: Completion, first_number: int, dialect: str) -> str:
    """A model's answer as `programs` has it: with the document's line numbers."""
    answer = mark_cut(completion.text, dialect) if completion.finish_reason == "length" else completion.text
    return shift_lines(answer, first_number, dialect)


def _without_request(place: _Pending, error: Exception | None) -> GeneratedProgram:
    left_over = place.chunk is not None and place.chunk.left_over
    unseen = ProgramStatus.TOO_MANY_CHUNKS if left_over else ProgramStatus.LINE_TOO_LONG
    return GeneratedProgram(
        doc_id=place.doc_id,
        doc_hash=place.doc_hash,
        chunk_index=place.chunk_index,
        chunk_count=place.chunk_count,
        first_line=place.first_line,
        line_count=place.line_count,
        program=None,
        status=unseen if error is None else ProgramStatus.PROMPT_FAILED,
        detail=None if error is None else type(error).__name__,
    )
