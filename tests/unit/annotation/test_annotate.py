"""Documents to annotations through an engine: order-free, complete, and a row for everything that goes wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from spark_prox.annotation.annotate import Annotation, annotate_documents, judge
from spark_prox.annotation.asking import AskSpec, ask_spec
from spark_prox.annotation.examples import (
    LabelledExample,
    example_of,
    labels_of_people,
    labels_revision,
    write_examples,
)
from spark_prox.annotation.judging import Status
from spark_prox.annotation.questions import AnnotationPrompt, Question
from spark_prox.config.annotate import AnnotateConfig
from spark_prox.documents import Document, document_hash
from spark_prox.engines.base import Completion, Request, failure
from spark_prox.models import load_tokenizer
from spark_prox.programs import refine_text
from spark_prox.training.synthetic import synthetic_pages, write_pages
from tests.unit.annotation.test_asking import annotator

NAMES = {"scores": ("education", "format"), "programs": ("navigation", "footers"), "clean": ("clean",)}


class Teacher:
    """Answers by what it is shown, in any order: a real engine but for the model."""

    def __init__(self, model: str, answer: Callable[[str], str | None]) -> None:
        self._tokenizer = load_tokenizer(model)
        self._answer = answer

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        window = list(requests)
        random.Random(5).shuffle(window)
        for request in window:
            answer = self._answer(self._tokenizer.decode(list(request.prompt_token_ids), skip_special_tokens=False))
            if answer is None:
                yield failure(request, "SERVER_REFUSED", "HTTP 400")
                continue
            cut = answer.endswith("...")
            yield Completion(
                request_id=request.request_id,
                text=answer,
                finish_reason="length" if cut else "stop",
                prompt_tokens=len(request.prompt_token_ids),
                output_tokens=7,
            )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return annotator(tmp_path_factory.mktemp("models") / "plain", None)


def spec_for(model: str, asks_for: str) -> AskSpec:
    prompt = AnnotationPrompt(
        name=asks_for,
        version=1,
        stage="doc" if asks_for == "scores" else "chunk",
        asks_for=asks_for,  # type: ignore[arg-type]
        system="",
        questions=tuple(Question(name=name, before=f"ask {name}:\n", after="\nend") for name in NAMES[asks_for]),
        max_new_tokens=120,
    )
    return ask_spec(prompt, model, AnnotateConfig(max_prompt_tokens=600, max_chunk_tokens=120))


def annotated(model: str, asks_for: str, texts: list[str], answer: Callable[[str], str | None]) -> list[Annotation]:
    documents = [Document(doc_id=f"d{n}", doc_hash="h", text=text) for n, text in enumerate(texts)]
    rows = list(annotate_documents(documents, Teacher(model, answer), spec_for(model, asks_for)))
    return sorted(rows, key=lambda row: (row.doc_id, row.chunk_index))


def test_documents_are_scored_by_two_questions(model: str) -> None:
    def teacher(shown: str) -> str:
        good = "river" in shown
        return f"Score: {3 if good else 1}" if "ask education" in shown else "Score: 3"

    rows = annotated(model, "scores", ["The river rises in the hills.", "Login"], teacher)
    assert [row.judgement.program for row in rows] == ["keep_doc()", "drop_doc()"]
    assert [(row.judgement.education, row.judgement.format) for row in rows] == [(3, 3), (1, 3)]
    assert rows[0].chunk_index == -1
    assert [answer.question for answer in rows[0].answers] == ["education", "format"]
    assert rows[0].output_tokens == 14


def test_each_chunk_gets_one_merged_program_in_its_own_line_numbers(model: str) -> None:
    lines = ["Home About", *(f"The river {n} rises in the hills and reaches the sea." for n in range(12)), "Copyright"]

    def teacher(shown: str) -> str:
        wanted = "Home" if "ask navigation" in shown else "Copyright"
        for line in shown.split("\n"):
            if line.lstrip().startswith("[") and wanted in line:
                number = int(line.lstrip()[1:4])
                return f"remove_lines({number}, {number})"
        return "keep_chunk()"

    rows = annotated(model, "programs", ["\n".join(lines)], teacher)
    assert len(rows) > 1
    assert "\n".join(row.text for row in rows) == "\n".join(lines)
    assert rows[0].first_line == 0
    assert sum(row.line_count for row in rows) == len(lines)
    cleaned = "\n".join(refine_text(row.text, row.judgement.program or "").text or "" for row in rows)
    assert cleaned == "\n".join(lines[1:-1])


def test_cleaned_texts_give_programs(model: str) -> None:
    def teacher(shown: str) -> str:
        return shown.partition("ask clean:\n")[2].rpartition("\nend")[0].replace("Login\n", "")

    (row,) = annotated(model, "clean", ["Login\nThe river reaches the sea."], teacher)
    assert row.judgement.program == "remove_lines(line_start=0, line_end=0)"


def test_what_goes_wrong_is_a_row_with_a_code(model: str) -> None:
    def teacher(shown: str) -> str | None:
        return None if "mills" in shown else "remove_lines(0, 0)..." if "towns" in shown else "keep_chunk()"

    rows = annotated(model, "programs", ["meadows", "mills", "towns", "river " * 500, "meadows"], teacher)
    assert [(row.judgement.status, row.judgement.code) for row in rows] == [
        (Status.OK, None),
        (Status.FAILED, "NO_ANSWER"),
        (Status.REJECTED, "TRUNCATED"),
        (Status.SKIPPED, "LINE_TOO_LONG"),
        (Status.OK, None),
    ]
    assert rows[1].judgement.detail == "navigation: SERVER_REFUSED: HTTP 400"
    assert rows[1].answers[0].answer is None


def test_a_stored_answer_can_be_judged_again_under_another_limit(model: str) -> None:
    from dataclasses import replace

    text = "Login\nThe river reaches the sea."
    (row,) = annotated(model, "programs", [text], lambda shown: "remove_lines(1, 1)")
    assert row.judgement.status is Status.OK
    strict = replace(spec_for(model, "programs"), max_removed_share=0.5)
    assert judge(strict, row.text, row.answers).code == "REMOVES_TOO_MUCH"


def test_peoples_labels_become_the_same_examples(model: str, tmp_path: Path) -> None:
    pages = synthetic_pages(6)
    write_pages(pages, tmp_path / "pages.jsonl.gz")
    labels = list(labels_of_people([tmp_path], AnnotateConfig(max_chunk_tokens=300), model))
    assert {label.doc_id for label in labels} == {f"synthetic:{page.page_id}" for page in pages}
    for page in pages:
        own = [label for label in labels if label.doc_id.endswith(page.page_id)]
        assert own[0].chunk_count == len(own) > 1
        assert own[0].doc_hash == document_hash("\n".join(page.lines))
        kept = [line for line, keep in zip(page.lines, page.keep, strict=True) if keep]
        texts = [refine_text(label.text, label.judgement.program or "", policy="permissive").text for label in own]
        assert [line for text in texts if text for line in text.split("\n") if line] == kept
    before = labels_revision([tmp_path])
    write_pages(pages[1:], tmp_path / "pages.jsonl.gz")
    assert labels_revision([tmp_path]) != before


def test_examples_are_json_lines_with_exactly_these_keys(tmp_path: Path) -> None:
    row = {"doc_id": "d", "source": "s", "text": "a\nb", "program": "keep_chunk()"}
    examples = [
        example_of(**row, url="https://www.x.co.uk/1", stage="chunk", chunk_index=2),  # type: ignore[arg-type]
        example_of(**row, url=None, stage="doc", chunk_index=-1),  # type: ignore[arg-type]
    ]
    assert write_examples(examples, tmp_path / "new" / "e.jsonl") == 2
    read = [json.loads(line) for line in (tmp_path / "new" / "e.jsonl").read_text().splitlines()]
    assert read[0] == {
        "id": "d#2",
        "host": "x.co.uk",
        "stage": "chunk",
        "text": "a\nb",
        "program": "keep_chunk()",
        "source": "s",
        "weight": 1.0,
    }
    assert (read[1]["id"], read[1]["host"]) == ("d", "s:d")
    assert [LabelledExample(**row) for row in read] == examples
