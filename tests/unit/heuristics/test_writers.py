"""Heuristics: published rules, the line classifier, and the rows that they write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.documents import Document
from spark_prox.errors import ConfigError, ModelError
from spark_prox.generation import ProgramStatus
from spark_prox.heuristics.document_rules import c4_page_rules, fineweb_quality, gopher_quality
from spark_prox.heuristics.line_classifier import LineClassifier, train_line_classifier
from spark_prox.heuristics.writers import (
    RULE_SETS,
    Written,
    heuristic_for,
    heuristic_margins,
    heuristic_revision,
    write_programs,
)
from spark_prox.programs import refine_text
from spark_prox.programs.dialects import DIALECTS
from spark_prox.programs.dialects.ultrax import ULTRAX
from spark_prox.programs.spelling import removals_dialect
from spark_prox.training.synthetic import synthetic_pages
from spark_prox.writers import HeuristicWriter, ModelWriter, one_pass, policy_of, writer_of, writers_of

SENTENCE = "The river rises in the hills and it reaches the sea after forty miles of meadows, mills and small towns."
GOOD = [f"In part {number} {SENTENCE}" for number in range(6)]


@pytest.mark.parametrize("rule", [c4_page_rules, gopher_quality, fineweb_quality])
def test_prose_breaks_no_rule(rule: object) -> None:
    assert rule(GOOD) is None  # type: ignore[operator]


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        ([*GOOD, "Lorem ipsum dolor"], "lorem ipsum"),
        ([*GOOD, "if (x) { return; }"], "curly bracket"),
        (GOOD[:4], "fewer than 5 sentences"),
        (["Home", "About", "v. 1.2. of. the. menu"], "fewer than 5 sentences"),
    ],
)
def test_c4s_page_rules(lines: list[str], broken: str) -> None:
    assert c4_page_rules(lines) == broken


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        (["a short page of the site"], "50 to 100,000 words"),
        ([*GOOD, "incomprehensibilities " * 150], "mean word length of 3 to 10"),
        ([*GOOD, "# " * 30], "symbols to words"),
        (["- " + line for line in GOOD], "bullet points"),
        ([line + "..." for line in GOOD], "lines that end in an ellipsis"),
        ([*GOOD, "1234 " * 60], "words without a letter"),
        (["river hills meadows mills towns forty miles"] * 12, "two stop words"),
        ([], "50 to 100,000 words"),
        (["- - -"], "50 to 100,000 words"),
    ],
)
def test_gophers_quality_filter(lines: list[str], broken: str) -> None:
    assert gopher_quality(lines) == broken


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        (["", " "], "empty"),
        ([line.rstrip(".") for line in GOOD], "lines with final punctuation"),
        ([*GOOD, *(f"item {n}." for n in range(30))], "short lines"),
        ([*GOOD, GOOD[0]], "repeated lines"),
        ([*GOOD, *[""] * 60], "newlines to words"),
    ],
)
def test_finewebs_filters(lines: list[str], broken: str) -> None:
    assert fineweb_quality(lines) == broken


def test_a_rule_set_writes_one_program_for_a_whole_document() -> None:
    documents = [Document(doc_id="a", doc_hash="h", text="\n".join(["Home", *GOOD, "Login"]))]
    (row,) = write_programs(documents, heuristic_for("c4"), stage="chunk")
    assert row.program == "remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=7, line_end=7)"
    assert (row.doc_hash, row.chunk_index, row.chunk_count, row.first_line, row.line_count) == ("h", 0, 1, 0, 8)
    (verdict,) = write_programs(documents, heuristic_for("gopher"), stage="doc")
    assert (verdict.program, verdict.chunk_index) == ("keep_doc()", -1)
    (nothing,) = write_programs(documents, heuristic_for("gopher"), stage="chunk")
    assert nothing.program == "keep_chunk()"


def test_the_classifier_writes_margins_and_removes_what_it_rather_removes(tmp_path: Path) -> None:
    file = tmp_path / "c.npz"
    train_line_classifier(synthetic_pages(40)).save(file)
    page = synthetic_pages(1, seed=9)[0]
    heuristic = heuristic_for(f"line_classifier:{file}")
    written = heuristic.edit_lines(page.lines)
    scores = LineClassifier.load(file).score(page.lines)
    assert written.line_margins is not None
    assert [margin < 0 for margin in written.line_margins] == [score < 0.5 for score in scores]
    assert written.program.startswith("remove_lines(line_start=0,")
    assert heuristic.judge_document(page.lines).program == "keep_doc()"


def test_a_heuristic_that_fails_costs_a_row_and_not_the_task() -> None:
    class Broken:
        def judge_document(self, lines: Sequence[str]) -> Written:
            raise ZeroDivisionError

        edit_lines = judge_document

    rows = list(write_programs([Document(doc_id=str(n), text="x") for n in range(3)], Broken(), stage="doc"))
    assert {(row.status, row.detail, row.program) for row in rows} == {
        (ProgramStatus.ENGINE_FAILED, "AUTHOR_ERROR: ZeroDivisionError", None)
    }


def test_revisions_tell_heuristics_and_their_versions_apart(tmp_path: Path) -> None:
    assert len({heuristic_revision(name) for name in RULE_SETS}) == len(RULE_SETS)
    file = tmp_path / "c.npz"
    file.write_bytes(b"one")
    before = heuristic_revision(f"line_classifier:{file}")
    file.write_bytes(b"two")
    assert heuristic_revision(f"line_classifier:{file}") != before
    with pytest.raises(ModelError, match="AUTHOR_UNKNOWN"):
        heuristic_revision("c5")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], True),
        (["chunk.enabled=false"], False),
        (["model.engine=scripted", "model.script=keep_doc()"], False),
        (["chunk.model={threads: 7}"], False),
        (["model.engine=author", "model.path=c4"], False),
    ],
)
def test_one_pass_needs_one_model_for_both_levels(settings: list[str], expected: bool) -> None:
    assert one_pass(writers_of(load_config(None, ["model.path=embedded", *settings]))) is expected


@pytest.mark.parametrize("writer", [["model.path=embedded"], ["model.engine=author", "model.path=c4"]])
def test_programs_of_margins_and_rules_are_spelt_in_a_dialect_that_reads_proxs_words_otherwise(
    writer: list[str],
) -> None:
    keys = {}
    for dialect, spelling in (("prox", "prox"), ("refinex", "prox"), ("ultrax", "ultrax"), ("rescraper", "rescraper")):
        found = writers_of(load_config(None, [*writer, f"dialect={dialect}"]))
        chunk = found["chunk"]
        assert isinstance(chunk, ModelWriter | HeuristicWriter)
        assert (chunk.prompt.dialect if isinstance(chunk, ModelWriter) else chunk.dialect) == spelling
        keys[dialect] = {level: found[level].key() for level in found}
    assert keys["prox"] == keys["refinex"]
    assert len({keys[dialect]["chunk"] for dialect in keys}) == 3  # other programs, so other keys
    assert len({keys[dialect]["doc"] for dialect in keys}) == 1


def test_a_dialect_without_words_for_the_removal_of_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mute = dataclasses.replace(ULTRAX, name="mute", write=lambda _: None)
    monkeypatch.setitem(DIALECTS, "mute", mute)
    with pytest.raises(ConfigError, match="DIALECT_NOT_WRITTEN"):
        writers_of(load_config(None, ["model.path=embedded", "dialect=mute"]))


@pytest.mark.parametrize("dialect", ["prox", "refinex", "ultrax", "rescraper"])
def test_a_rule_removes_the_same_lines_in_every_dialect(dialect: str) -> None:
    document = Document(
        doc_id="0", text="Menu\nThis is a sentence of five words.\nHome\nHere is another sentence, too."
    )
    (row,) = write_programs([document], heuristic_for("c4"), stage="chunk", dialect=removals_dialect(dialect))
    assert row.program is not None
    refined = refine_text(document.text, row.program, dialect=dialect)
    assert refined.text == "This is a sentence of five words.\nHere is another sentence, too."


def test_the_key_of_a_heuristic_needs_no_model_files_and_its_margin_is_the_default_policys(tmp_path: Path) -> None:
    file = tmp_path / "line_classifier.npz"
    file.write_bytes(b"never unpickled on the driver")
    (tmp_path / "line_classifier.thresholds.json").write_text(json.dumps({"min_remove_margin": 0.4}))
    path = f"line_classifier:{file}"
    config = load_config(None, ["model.engine=author", f"model.path={path}"])
    key = writer_of(config, "chunk").key()
    assert (key.model, key.template) == (path, "author@1")
    assert key.model_revision == heuristic_revision(path)
    assert heuristic_margins(path) == {"min_remove_margin": 0.4}
    assert policy_of(config).min_remove_margin == 0.4
    assert policy_of(load_config(None, ["model.engine=author", "model.path=c4"])).min_remove_margin is None
