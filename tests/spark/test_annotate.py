"""The annotation job's stage on real tables, with a teacher served over HTTP that answers each prompt differently."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from spark_prox.annotation.examples import labels_of_people, labels_revision
from spark_prox.annotation.questions import AnnotationPrompt, load_prompt
from spark_prox.config.run import RunConfig, load_config
from spark_prox.models import load_tokenizer
from spark_prox.pipeline import Pipeline
from spark_prox.programs import refine_text
from spark_prox.report.annotation_report import annotation_report
from spark_prox.stages.annotate import annotate, asking, examples_in, judge_again
from spark_prox.stages.labels import store_labels
from spark_prox.training.synthetic import synthetic_pages, write_pages
from tests.unit.annotation.test_asking import annotator
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

PAGES = synthetic_pages(8)
MENU = re.compile(r"\[(\d{3})\](?:\w+ ?){1,4}$")  # the synthetic pages' boilerplate: up to four words, no full stop

BAD = next(line for line in PAGES[1].lines if line.endswith("."))  # the teacher answers nonsense about its page


class Server(BaseHTTPRequestHandler):
    """An OpenAI-compatible server: scores, programs and cleaned texts by rules; refuses what `refuse` says."""

    model = ""
    asked: ClassVar[list[str]] = []
    refuse = ""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        shown = load_tokenizer(self.model).decode(body["prompt"], skip_special_tokens=False)
        self.asked.append(shown)
        refused = bool(self.refuse) and self.refuse in shown
        answer = {"choices": [{"text": self.answer(shown), "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}
        data = json.dumps(answer).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, shown: str) -> str:
        if "add one point" in shown:
            return "Two sentences.\nScore: 3" if "learn from it" in shown else "Score: 2"
        if "publisher" in shown:
            return "remove_lines(5, 500)" if BAD in shown else "keep_chunk()"
        if "tracking" in shown:
            return "There are none.\nkeep_chunk()"
        found = (MENU.match(line.strip()) for line in shown.rpartition("Lines:")[2].split("\n"))
        return "\n".join(f"remove_lines({int(m[1])}, {int(m[1])})" for m in found if m) or "keep_chunk()"

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunConfig]:
    """A configuration whose model is served here."""
    folder = tmp_path_factory.mktemp("annotate")
    rows = [{"id": page.page_id, "url": page.url, "text": "\n".join(page.lines)} for page in PAGES]
    (folder / "pages.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    Server.model = annotator(folder / "model", None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield load_config(
        None,
        [
            f"model={{path: {Server.model}, engine: openai, revision: r1, served_name: teacher, timeout_s: 20}}",
            f"model.base_url=http://127.0.0.1:{server.server_port}/v1",
            "doc.enabled=false",
            "chunk.enabled=false",
            "annotate={max_prompt_tokens: 9000, max_chunk_tokens: 6000}",
            "placement={partitions: 2, arrow_batch_rows: 16}",
        ],
        {
            "warehouse": str(folder / "w"),
            "input.path": str(folder / "pages.jsonl"),
            "input.format": "jsonl",
            "input.id_column": "id",
        },
    )
    server.shutdown()
    thread.join()
    server.server_close()


def chunk_prompt(repository: Path) -> AnnotationPrompt:
    return load_prompt(repository / "conf" / "prompts" / "chunk-programs.yaml", "chunk")


def run(config: RunConfig, repository: Path, stage: str) -> tuple[Pipeline, list[Row], int]:
    """Annotate one stage; the pipeline, the stage's rows, and how often the server was asked."""
    before = len(Server.asked)
    pipe = Pipeline(config, FUNCTIONS, name="test")
    pipe.begin()
    if not pipe.warehouse.exists("documents"):
        pipe.ingest()
    prompt = chunk_prompt(repository)
    if stage == "doc":
        prompt = load_prompt(repository / "conf" / "prompts" / "document-scores.yaml", stage)
    asked = asking(prompt, config.model, config.annotate)
    annotate(pipe.run, asked)
    rows = pipe.warehouse.read("annotations").where(f"stage = '{stage}'").orderBy("doc_id", "chunk_index").collect()
    return pipe, rows, len(Server.asked) - before


def test_documents_get_scores_once_and_what_failed_is_asked_again(
    spark: SparkSession, teacher: RunConfig, repository: Path
) -> None:
    batches = replace(teacher.placement, batch_documents=2)
    few = replace(teacher, annotate=replace(teacher.annotate, max_documents=3), placement=batches)
    _, rows, asked = run(few, repository, "doc")
    assert (len(rows), asked) == (3, 6)
    other = next(page for page in PAGES if page.page_id not in {row["doc_id"] for row in rows})
    Server.refuse = "\n".join(other.lines[:4])
    _, rows, asked = run(teacher, repository, "doc")
    Server.refuse = ""
    assert len(rows) == len(PAGES)
    failed = [row for row in rows if row["status"] == "FAILED"]
    assert [row["doc_id"] for row in failed] == [other.page_id]
    assert (failed[0]["code"], failed[0]["program"]) == ("NO_ANSWER", None)
    _, rows, asked = run(teacher, repository, "doc")
    assert asked == 2  # the failed document's two questions, and nothing of what is there
    assert {(row["status"], row["program"], row["education"], row["format"]) for row in rows} == {
        ("OK", "keep_doc()", 3, 2)
    }
    assert rows[0]["prompt"] == "document-scores@1"
    assert rows[0]["model_revision"] == "r1"
    assert rows[0]["answers"][0]["answer"] == "Two sentences.\nScore: 3"


@pytest.mark.slow
def test_chunks_get_merged_programs_and_people_label_into_the_same_table(
    spark: SparkSession, teacher: RunConfig, repository: Path, tmp_path: Path
) -> None:
    pipe, rows, _ = run(teacher, repository, "chunk")
    assert {(row["status"], row["code"]) for row in rows} == {("OK", None), ("REJECTED", "OUT_OF_RANGE")}
    page = {page.page_id: page for page in PAGES}
    for row in rows:
        assert row["text"] == "\n".join(page[row["doc_id"]].lines[row["first_line"] :][: row["line_count"]])
        if row["status"] == "OK":
            cleaned = refine_text(row["text"], row["program"], policy="permissive").text
            assert cleaned == "\n".join(line for line in row["text"].split("\n") if line.endswith("."))
    assert "OUT_OF_RANGE" in annotation_report(pipe.warehouse)
    good = next(row for row in rows if row["status"] == "OK" and row["program"] != "keep_chunk()")
    for limit, expected in ((0.0, ("REJECTED", "REMOVES_TOO_MUCH", None)), (0.95, ("OK", None, good["program"]))):
        limits = replace(teacher.annotate, max_removed_share=limit)
        asked = asking(chunk_prompt(repository), teacher.model, limits)
        before = len(Server.asked)
        judge_again(pipe.run, asked)
        now = pipe.warehouse.read("annotations").where(f"doc_id = '{good['doc_id']}' AND stage = 'chunk'").collect()
        assert (now[0]["status"], now[0]["code"], now[0]["program"]) == expected
        assert len(Server.asked) == before  # the answers are there
    by_model = list(examples_in(pipe.warehouse))

    write_pages(PAGES, tmp_path / "gold.jsonl.gz")
    for _ in range(2):  # the same labels again change nothing
        labels = labels_of_people([tmp_path], teacher.annotate, teacher.model.path)
        revision = labels_revision([tmp_path])
        store_labels(pipe.run, labels, revision=revision)
    people = pipe.warehouse.read("annotations").where("model = 'people'")
    assert people.count() == people.select("doc_id", "chunk_index").distinct().count() >= len(PAGES)
    examples = list(examples_in(pipe.warehouse))
    assert len(examples) == len(by_model) + people.where("status = 'OK'").count()
    assert {example.host for example in examples} == {f"site0x{n}.example" for n in range(len(PAGES))}
