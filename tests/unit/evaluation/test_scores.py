"""The comparison of writers: by source, with intervals and paired differences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.annotation.document_labels import load_labelled_documents
from spark_prox.annotation.labels import LabelledPage
from spark_prox.errors import InputError
from spark_prox.evaluation.executed import ExecutedPage, decide_documents, execute_pages
from spark_prox.evaluation.scores import (
    as_rows,
    compare_writers,
    document_figures,
    document_table,
    figures_table,
)
from spark_prox.generation import GeneratedProgram, ProgramStatus
from spark_prox.programs import policy_for

LINES = ("one two three four", "menu", "five six seven")


def pages() -> list[LabelledPage]:
    return [
        LabelledPage(page_id=str(n), source="a" if n < 6 else "b", lines=LINES, keep=(1.0, 0.0, 1.0)) for n in range(10)
    ]


def row(page: int, program: str | None, **more: object) -> GeneratedProgram:
    status = ProgramStatus.OK if program is not None else ProgramStatus.ENGINE_FAILED
    fields = {"chunk_index": 0, "chunk_count": 1, "first_line": 0, "line_count": 3, **more}
    return GeneratedProgram(doc_id=str(page), doc_hash=None, program=program, status=status, **fields)  # type: ignore[arg-type]


def executed(program: str | None, count: int = 10) -> list[ExecutedPage]:
    rows = [row(page, program) for page in range(count)]
    return execute_pages([LINES] * count, rows, policy_for("default"))


VERDICTS = {
    "perfect": executed("remove_lines(1, 1)"),
    "keeps all": executed("keep_chunk()"),
    "harmful": executed("remove_lines(2, 2)"),
}


def test_every_writer_has_figures_for_every_source_and_for_all() -> None:
    figures = compare_writers(pages(), VERDICTS, reference="perfect")
    assert {(f.source, f.writer): f.pages for f in figures} == {
        (source, writer): count for source, count in (("a", 6), ("b", 4), ("all", 10)) for writer in VERDICTS
    }


def test_figures_are_those_of_the_verdicts() -> None:
    by_writer = {f.writer: f for f in compare_writers(pages(), VERDICTS, reference="perfect") if f.source == "all"}
    perfect, harmful = by_writer["perfect"], by_writer["harmful"]
    assert (perfect.word_f1, perfect.chunk_f1, perfect.word_recall) == (1.0, 1.0, 1.0)
    assert perfect.share_removed == pytest.approx(1 / 8)
    assert harmful.word_recall == pytest.approx(4 / 7)
    assert harmful.chunk_f1 == 0.0
    assert harmful.over_keeping[2] < 0
    assert harmful.over_reference is not None
    assert harmful.over_reference[2] < 0
    assert perfect.over_reference is None
    assert perfect.over_keeping[1] > 0


def test_the_table_has_a_row_for_each_figure_and_the_report_is_json() -> None:
    figures = compare_writers(pages(), VERDICTS)
    assert len(figures_table(figures).splitlines()) == 2 + len(figures)
    assert len({line.count("|") for line in figures_table(figures).splitlines()}) == 1
    assert json.loads(json.dumps(as_rows(figures)))[0]["writer"] == "perfect"


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("remove_lines(0, 0)", [False, True, True]),
        ("remove_lines(2, 2)", [True, True, False]),
        ("remove_lines(1, 2)", [True, False, False]),
        ("remove_lines(0, 0)\nremove_lines(2, 2)", [False, True, False]),
        ("remove_lines(0, 2)", [True, True, True]),  # the default policy refuses to wipe a page
    ],
)
def test_which_lines_went_is_read_from_the_executors_edits(program: str, kept: list[bool]) -> None:
    (page,) = executed(program, 1)
    assert list(page.keep) == kept
    assert page.text == "\n".join(line for line, keep in zip(LINES, kept, strict=True) if keep)
    (wiped,) = execute_pages([LINES], [row(0, "remove_lines(0, 2)")], policy_for("permissive"))
    assert (wiped.text, any(wiped.keep)) == ("", False)


def test_failures_calls_and_tokens_are_counted_over_programs() -> None:
    rows = [
        row(0, "remove_lines(1, 1)\nremove_lines(2, 2)", chunk_count=2, line_count=2),
        row(0, "no call at all", chunk_index=1, chunk_count=2, first_line=2, line_count=1),
        row(1, None),
    ]
    results = execute_pages([LINES] * 2, rows, policy_for("default"))
    assert [(page.programs, page.failed, page.calls) for page in results] == [(2, 1, 2), (1, 1, 0)]
    (own,) = [f for f in compare_writers(pages()[:2], {"m": results}) if f.source == "all"]
    assert own.failure_ratio == pytest.approx(2 / 3)
    assert own.calls_per_program == pytest.approx(2 / 3)
    assert 0.5 < own.tokens_kept < 1
    (missing,) = execute_pages([LINES], [], policy_for("default"))
    assert missing.text == "\n".join(LINES)


def test_a_writer_that_replaces_strings_is_scored_by_its_text() -> None:
    figures = compare_writers(pages(), {"m": executed('remove_lines(1, 1)\nnormalize("one two ", "")')})
    assert figures[-1].word_recall == pytest.approx(5 / 7)
    assert figures[-1].chunk_f1 == 1.0


def test_the_document_stage_drops_only_what_is_sure() -> None:
    gold, margins = [True, True, False, False], [3.0, -1.0, -2.0, -9.0]
    rows = [row(n, "keep_doc()" if margin >= 0 else "drop_doc()", margin=margin) for n, margin in enumerate(margins)]
    keep = decide_documents(4, rows, policy_for("default", min_drop_margin=2.0))
    assert keep == [True, True, False, False]
    figures = document_figures("m", gold, keep, margins)
    assert figures.auc == 1.0
    assert figures.dropped == 0.5
    assert figures.good_dropped == 0.0
    assert figures.f1 == 1.0
    assert figures.f1_keep_everything == pytest.approx(2 / 3)
    assert figures.over_keeping[0] == pytest.approx(1 / 3)
    assert "1.000" in document_table([figures])


def test_labelled_documents_are_read_and_bad_rows_named(tmp_path: Path) -> None:
    file = tmp_path / "documents.jsonl"
    file.write_text('{"id": 1, "text": "a\\nb", "keep": 1}\n{"id": 2, "text": "c", "keep": 0}\n')
    assert load_labelled_documents(file) == ([["a", "b"], ["c"]], [True, False])
    file.write_text('{"id": 1, "keep": 1}\n')
    with pytest.raises(InputError, match=r"row 1 of documents\.jsonl"):
        load_labelled_documents(file)
    with pytest.raises(InputError, match="LABELS_MISSING"):
        load_labelled_documents(tmp_path / "none.jsonl")
