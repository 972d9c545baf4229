"""The comparison of authors: by source, with intervals and paired differences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.errors import InputError
from spark_prox.refiners.document_labels import load_labelled_documents
from spark_prox.refiners.evaluation import (
    as_rows,
    compare_authors,
    document_figures,
    document_table,
    figures_table,
)
from spark_prox.refiners.labels import LabelledPage

LINES = ("one two three four", "menu", "five six seven")


def pages() -> list[LabelledPage]:
    return [
        LabelledPage(page_id=str(n), source="a" if n < 6 else "b", lines=LINES, keep=(1.0, 0.0, 1.0)) for n in range(10)
    ]


VERDICTS = {
    "perfect": [[True, False, True]] * 10,
    "keeps all": [[True, True, True]] * 10,
    "harmful": [[True, True, False]] * 10,
}


def test_every_author_has_figures_for_every_source_and_for_all() -> None:
    figures = compare_authors(pages(), VERDICTS, reference="perfect")
    assert {(f.source, f.author): f.pages for f in figures} == {
        (source, author): count for source, count in (("a", 6), ("b", 4), ("all", 10)) for author in VERDICTS
    }


def test_figures_are_those_of_the_verdicts() -> None:
    by_author = {f.author: f for f in compare_authors(pages(), VERDICTS, reference="perfect") if f.source == "all"}
    perfect, harmful = by_author["perfect"], by_author["harmful"]
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
    figures = compare_authors(pages(), VERDICTS)
    assert len(figures_table(figures).splitlines()) == 2 + len(figures)
    assert json.loads(json.dumps(as_rows(figures)))[0]["author"] == "perfect"


def test_the_document_stage_drops_only_what_is_sure() -> None:
    gold = [True, True, False, False]
    figures = document_figures("m", gold, [3.0, -1.0, -2.0, -9.0], min_drop_margin=2.0)
    assert figures.auc == 1.0
    assert figures.dropped == 0.5
    assert figures.good_dropped == 0.0
    assert figures.f1 == 1.0
    assert figures.f1_keep_everything == pytest.approx(2 / 3)
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
