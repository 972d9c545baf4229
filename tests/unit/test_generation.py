from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from spark_prox.documents import Document, Lines
from spark_prox.engines.base import Completion, Request, failure
from spark_prox.generation import GeneratedProgram, ProgramStatus, generate_programs
from spark_prox.prompts.builder import ChunkPrompts, Prompt
from spark_prox.prompts.chunking import Chunk, split_chunks


class LineBuilder:
    """Three lines a chunk; a line of more than ten characters is too long; "POISON" and "VENOM" cannot be encoded."""

    built = 0

    def __init__(self, max_chunks: int = 0) -> None:
        self._max_chunks = max_chunks

    def document_prompt(self, text: str) -> Prompt:
        if "POISON" in text:
            raise UnicodeError("secret text of the document")
        return Prompt(token_ids=(len(text),), read_at=(0,), read_tokens=(1, 2))

    def chunk_prompts(self, text: str) -> ChunkPrompts:
        if "POISON" in text:
            raise UnicodeError("secret text of the document")
        lines = Lines(text)
        chunks = split_chunks(lines, map(len, lines), max_tokens=10, max_lines=3, max_chunks=self._max_chunks)
        return ChunkPrompts(chunks, self._chunk_prompt)

    def _chunk_prompt(self, chunk: Chunk) -> Prompt:
        self.built += 1
        if "VENOM" in chunk.lines:
            raise ValueError("secret text of the document")
        return Prompt(token_ids=tuple(map(len, chunk.lines)), read_at=tuple(range(len(chunk.lines))))


class PoolEngine:
    """Keeps `limit` requests in flight and finishes the newest first; records how many were in flight."""

    def __init__(self, limit: int, margin: float = 1.0) -> None:
        self.limit = limit
        self.margin = margin
        self.in_flight: list[int] = []

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        stream, pool = iter(requests), []  # type: ignore[var-annotated]
        while True:
            while len(pool) < self.limit and (request := next(stream, None)) is not None:
                pool.append(request)
            if not pool:
                return
            self.in_flight.append(len(pool))
            request = pool.pop()
            yield Completion(
                request_id=request.request_id,
                finish_reason="read",
                prompt_tokens=len(request.prompt_token_ids),
                margins=tuple(
                    self.margin if n else -self.margin for n in request.prompt_token_ids[: len(request.read_at)]
                ),
            )


def documents(*texts: str) -> list[Document]:
    return [Document(doc_id=f"d{n}", text=text) for n, text in enumerate(texts)]


def test_every_document_gets_one_decision_whatever_order_the_engine_finishes_in() -> None:
    rows = list(generate_programs(documents("a", "", "ccc"), PoolEngine(2), LineBuilder(), stage="doc"))
    assert {row.doc_id: row.program for row in rows} == {"d0": "keep_doc()", "d1": "drop_doc()", "d2": "keep_doc()"}
    assert {row.doc_id: row.margin for row in rows} == {"d0": 1.0, "d1": -1.0, "d2": 1.0}


class WholePages(LineBuilder):
    """Reads the page behind its lines."""

    def page_prompt(self, text: str) -> tuple[Prompt, Chunk | None]:
        chunks = self.chunk_prompts(text).chunks
        whole = len(chunks) == 1 and not chunks[0].too_long
        ids = (*map(len, chunks[0].lines), len(text))
        return Prompt(token_ids=ids, read_at=tuple(range(len(ids))) if whole else (0,)), chunks[0] if whole else None


def test_one_pass_answers_both_levels_of_a_document_that_is_one_chunk() -> None:
    builder = WholePages()
    some = documents("a\n\nb", "a\nb\nc\nd", "POISON", "x" * 11)
    rows = list(generate_programs(some, PoolEngine(2), builder, stage="doc", whole=builder))
    doc = {row.doc_id: row for row in rows if row.chunk_index == -1}
    chunk = {row.doc_id: row for row in rows if row.chunk_index == 0}
    assert {name: row.status for name, row in doc.items()} == {
        "d0": ProgramStatus.OK,
        "d1": ProgramStatus.OK,
        "d2": ProgramStatus.PROMPT_FAILED,
        "d3": ProgramStatus.OK,
    }
    alone = list(generate_programs(some, PoolEngine(2), builder, stage="chunk"))
    (expected,) = [row for row in alone if row.doc_id == "d0"]
    assert set(chunk) == {"d0"}  # the others have several chunks, or none that a prompt can hold
    assert replace(chunk["d0"], prompt_tokens=expected.prompt_tokens) == expected
    assert (doc["d0"].margin, doc["d0"].line_margins) == (1.0, None)
    assert (doc["d0"].prompt_tokens, chunk["d0"].prompt_tokens) == (4, 0)  # read once


def test_an_engine_error_in_one_pass_is_a_row_of_the_document_alone() -> None:
    class Broken:
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            for request in requests:
                yield failure(request, "ENGINE_ERROR", "no")

    builder = WholePages()
    rows = list(generate_programs(documents("a"), Broken(), builder, stage="doc", whole=builder))
    assert [(row.chunk_index, row.status) for row in rows] == [(-1, ProgramStatus.ENGINE_FAILED)]


def test_line_margins_become_a_program_in_document_line_numbers() -> None:
    rows = list(generate_programs(documents("a\n\nb\nc\n\n\nd"), PoolEngine(1), LineBuilder(), stage="chunk"))
    assert [(row.chunk_index, row.first_line, row.line_count, row.chunk_count) for row in rows] == [
        (0, 0, 3, 3),
        (1, 3, 3, 3),
        (2, 6, 1, 3),
    ]
    programs = [row.program or "" for row in rows]
    assert "1" in programs[0]
    assert "4" in programs[1]
    assert "5" in programs[1]
    assert "remove" not in programs[2]
    assert rows[1].line_margins == (1.0, -1.0, -1.0)


@pytest.mark.parametrize("text", ["a\n\nb\nc\n\n\nd\n" + "x" * 50 + "\nVENOM\nb\nc", "a", "a\nPOISON"])
@pytest.mark.parametrize("max_chunks", [0, 2])
def test_the_parts_of_a_document_are_together_the_rows_of_the_whole(text: str, max_chunks: int) -> None:
    def rows(*parts: Document) -> list[GeneratedProgram]:
        found = generate_programs(parts, PoolEngine(3), LineBuilder(max_chunks), stage="chunk")
        return sorted(found, key=lambda row: row.chunk_index)

    whole = Document(doc_id="d", text=text)
    assert rows(*(replace(whole, part=part, parts=3) for part in range(3))) == rows(whole)
    assert len(rows(replace(whole, part=2, parts=3))) < len(rows(whole))


def test_a_line_over_the_budget_is_a_row_without_a_request() -> None:
    rows = list(generate_programs(documents("a\n" + "x" * 50 + "\nb"), PoolEngine(4), LineBuilder(), stage="chunk"))
    by_index = {row.chunk_index: row for row in rows}
    assert by_index[1].status == ProgramStatus.LINE_TOO_LONG
    assert by_index[1].program is None
    assert [by_index[n].status for n in (0, 2)] == [ProgramStatus.OK] * 2


def test_lines_behind_the_last_chunk_that_may_be_made_stay_and_the_row_says_so() -> None:
    builder = LineBuilder(max_chunks=2)
    rows = list(generate_programs(documents("a\n\nb\nc\n\n\nd\ne"), PoolEngine(4), builder, stage="chunk"))
    last = max(rows, key=lambda row: row.chunk_index)
    assert (last.status, last.program, last.chunk_index, last.chunk_count) == ("TOO_MANY_CHUNKS", None, 2, 3)
    assert (last.first_line, last.line_count) == (6, 2)
    assert [row.status for row in rows if row is not last] == ["OK", "OK"]


def test_a_document_that_cannot_be_encoded_is_a_row_without_its_text() -> None:
    rows = list(generate_programs(documents("a", "POISON", "b"), PoolEngine(2), LineBuilder(), stage="doc"))
    bad = next(row for row in rows if row.doc_id == "d1")
    assert (bad.status, bad.detail, bad.program) == (ProgramStatus.PROMPT_FAILED, "UnicodeError", None)
    assert len(rows) == 3


def test_a_document_that_cannot_be_encoded_is_not_lost_when_it_comes_last() -> None:
    rows = list(generate_programs(documents("POISON"), PoolEngine(2), LineBuilder(), stage="doc"))
    assert [row.status for row in rows] == [ProgramStatus.PROMPT_FAILED]


def test_a_document_whose_chunks_cannot_be_told_is_one_row() -> None:
    rows = list(generate_programs(documents("a\nPOISON", "b"), PoolEngine(2), LineBuilder(), stage="chunk"))
    bad = next(row for row in rows if row.doc_id == "d0")
    assert (bad.status, bad.detail) == (ProgramStatus.PROMPT_FAILED, "UnicodeError")
    assert (bad.chunk_index, bad.chunk_count, bad.first_line, bad.line_count) == (0, 1, 0, 2)
    assert [row.doc_id for row in rows].count("d1") == 1


def test_a_chunk_that_cannot_be_encoded_costs_no_other_chunk() -> None:
    lines = ["a", "b", "c", "d", "VENOM", "e", "x" * 50, "g"]
    rows = list(generate_programs(documents("\n".join(lines), "z"), PoolEngine(2), LineBuilder(), stage="chunk"))
    of_first = sorted((row for row in rows if row.doc_id == "d0"), key=lambda row: row.chunk_index)
    assert [row.chunk_index for row in of_first] == [0, 1, 2, 3]
    assert {row.chunk_count for row in of_first} == {4}
    assert [(row.first_line, row.line_count) for row in of_first] == [(0, 3), (3, 3), (6, 1), (7, 1)]
    assert [str(row.status) for row in of_first] == ["OK", "PROMPT_FAILED", "LINE_TOO_LONG", "OK"]
    assert [row.detail for row in of_first] == [None, "ValueError", None, None]
    assert len(rows) == 5


def test_prompts_of_a_long_document_are_built_as_the_engine_takes_them() -> None:
    builder = LineBuilder()
    rows = generate_programs(documents("\n".join("abc" for _ in range(30_000))), PoolEngine(4), builder, stage="chunk")
    assert next(rows).chunk_count == 10_000
    time.sleep(0.1)
    assert builder.built <= 4 + 256 + 1
    assert sorted(row.chunk_index for row in rows) == [*range(3), *range(4, 10_000)]  # the newest came first
    assert builder.built == 10_000


def test_the_engine_stays_full_until_the_documents_end() -> None:
    engine = PoolEngine(8)
    rows = list(generate_programs(documents(*["a"] * 100), engine, LineBuilder(), stage="doc"))
    assert len(rows) == 100
    assert engine.in_flight[:93] == [8] * 93
    assert engine.in_flight[93:] == [7, 6, 5, 4, 3, 2, 1]


def test_documents_are_read_a_bounded_way_ahead_of_the_engine() -> None:
    read = 0

    def stream() -> Iterator[Document]:
        nonlocal read
        for document in documents(*["a"] * 5000):
            read += 1
            yield document

    rows = generate_programs(stream(), PoolEngine(4), LineBuilder(), stage="doc")
    next(rows)
    deadline = time.monotonic() + 10
    while read < 4 + 256 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert 4 + 256 <= read <= 4 + 256 + 1  # in the engine, ahead of it, and the one that waits for room
    assert sum(1 for _ in rows) == 4999


def test_what_reading_the_documents_raises_reaches_the_caller() -> None:
    def stream() -> Iterator[Document]:
        yield from documents("a")
        raise OSError("the input is gone")

    rows = generate_programs(stream(), PoolEngine(1), LineBuilder(), stage="doc")
    assert next(rows).doc_id == "d0"
    with pytest.raises(OSError, match="the input is gone"):
        list(rows)


def test_an_engines_error_is_a_row_with_its_code() -> None:
    class FailingEngine:
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            for request in requests:
                yield failure(request, "PROMPT_TOO_LONG", "9 tokens")

    (row,) = generate_programs(documents("a"), FailingEngine(), LineBuilder(), stage="doc")
    assert (row.status, row.detail, row.program) == (ProgramStatus.ENGINE_FAILED, "PROMPT_TOO_LONG: 9 tokens", None)
