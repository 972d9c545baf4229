"""Templates that count lines anew in each chunk: what the model sees is local, what is stored is the document's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from spark_prox.documents import Document
from spark_prox.engines.base import Completion, Request
from spark_prox.generation import generate_programs
from spark_prox.models import load_tokenizer
from spark_prox.programs import shift_lines
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.prompts.templates import TEMPLATES, template_for


class RecordingEngine:
    """Answers every request with one program; keeps the requests."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.requests: list[Request] = []

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            self.requests.append(request)
            yield Completion(request_id=request.request_id, text=self.program)


def local_builder(model: Path):  # type: ignore[no-untyped-def]
    spec = PromptSpec(
        template=TEMPLATES["smollm2-chunk"],
        model_path=str(model),
        max_prompt_tokens=2048,
        max_chunk_tokens=1000,
        max_new_tokens=64,
    )
    return builder_for(spec)


def test_lines_are_numbered_at_their_end_and_anew_in_each_chunk(tiny_llama: Path) -> None:
    prompts = list(local_builder(tiny_llama).chunk_prompts("\n".join("a" for _ in range(103))))
    assert [(chunk.first_line, len(chunk.lines)) for chunk, _ in prompts] == [(0, 100), (100, 3)]
    tokenizer = load_tokenizer(str(tiny_llama))
    second = prompts[1][1]
    assert second is not None
    shown = tokenizer.decode(list(second.token_ids)).replace("\t", "")  # which this tokenizer does not know
    assert shown.strip() == "[doc]\na0\na1\na2\n[/doc]"
    assert [prompt.first_number for _, prompt in prompts] == [0, 100]


def test_stored_programs_have_the_documents_numbers(tiny_llama: Path) -> None:
    engine = RecordingEngine(" remove_lines(line_start=1, line_end=2)")
    text = "\n".join("line" for _ in range(106))
    rows = list(
        generate_programs([Document(doc_id="d", text=text)], engine, local_builder(tiny_llama), stage="chunk")  # type: ignore[arg-type]
    )
    assert [row.program for row in rows] == [
        " remove_lines(line_start=1, line_end=2)",
        " remove_lines(line_start=101, line_end=102)",
    ]
    assert [request.program_lines for request in engine.requests] == [(0, 99), (0, 5)]


@pytest.mark.parametrize(
    ("program", "shifted"),
    [
        ("keep_chunk()", "keep_chunk()"),
        (" remove_lines(start=0, end=12)\nnormalize(source_str=\" 3 comments\")", None),
        ("remove_lines(line_start=3", "remove_lines(line_start=3"),
        ("so 9:\nremove_lines(5, 7)", "so 9:\nremove_lines(105, 107)"),
        ("", ""),
    ],
)  # fmt: skip
def test_numbers_of_removals_alone_are_shifted(program: str, shifted: str | None) -> None:
    wanted = ' remove_lines(start=100, end=112)\nnormalize(source_str=" 3 comments")' if shifted is None else shifted
    assert shift_lines(program, 100) == wanted
    assert shift_lines(program, 0) == program


def test_templates_of_before_keep_their_fingerprint() -> None:
    """A changed one would make finished tables generate again."""
    assert TEMPLATES["prox-chunk"].fingerprint == "3829b06e46f59e18"
    assert TEMPLATES["embedded-doc"].fingerprint == "ac8610281cb205e1"


def test_the_wheels_model_has_templates_of_its_own() -> None:
    assert template_for("auto", "chunk", "smollm2").name == "smollm2-chunk"
    assert template_for("auto", "chunk", "/models/any").name == "prox-chunk"
