"""The history of a document as text, from rows written by hand: hostile ones as well."""

from __future__ import annotations

import dataclasses
import unicodedata
from datetime import datetime

import pytest
from pyspark.sql import Row

from spark_prox.config.run import RunConfig
from spark_prox.errors import ConfigError
from spark_prox.execution import StoredChunk, execute_stored
from spark_prox.programs import policy_for
from spark_prox.report.history import DocumentHistory, RunRecord
from spark_prox.report.history_report import history_report
from spark_prox.report.other_policy import other_policy, replay_under
from spark_prox.sources.snapshot import InputSnapshot
from spark_prox.terminal import PLAIN, Paint

WHEN = datetime(2026, 1, 2, 3, 4)
TEXT = "Home | About\nA line that is text and stays here.\nLogin\nAnother line that stays.\nCopyright"
PROGRAM = "remove_lines(0, 0)\nremove_lines(2, 2)\nremove_lines(4, 4)\nremove_lines(77, 78)"
POLICY = policy_for("default", min_remove_margin=1.0)
KEY = {"model_revision": "rev-1", "template_hash": "t-hash", "generation_hash": "g-hash"}
WRITER = {"model": "some-model", "template": "page@1", **KEY}


def program(stage: str, text: str, **more: object) -> Row:
    found = {
        **{"doc_hash": "hash", "stage": stage, "chunk_index": 0 if stage == "chunk" else -1, "chunk_count": 1},
        **{"first_line": 0, "line_count": 5, "program": text, "status": "OK", "detail": None, "margin": None},
        **{"line_margins": [-3.0, 3.0, -0.4, 3.0, -3.0], "engine": "scripted", "run_id": "run-1", "generated_at": WHEN},
        **WRITER,
    }
    return Row(**{**found, **more})


def history(text: str = TEXT, chunk: str = PROGRAM, **more: object) -> DocumentHistory:
    programs = [program("doc", "keep_doc()", margin=2.5), program("chunk", chunk)]
    stored = [StoredChunk(**{name: programs[1][name] for name in StoredChunk._fields})]
    keep = {"doc_program": "keep_doc()", "doc_status": "OK", "doc_margin": 2.5}
    made = execute_stored(text, **keep, chunks=stored, policy=POLICY, dialect="prox")  # type: ignore[arg-type]
    edits = [Row(**edit._asdict()) for edit in made.edits]
    own = {"policy": "default", "policy_hash": "p" * 64, "run_id": "run-1", "refined_at": WHEN, "settings_hash": "s"}
    refined = Row(**{**made._asdict(), **own, "edits": edits})
    place = {"path": "crawl/a.warc.gz", "position": 17, "ingested_by": "run-0", "ingested_at": WHEN, "doc_hash": "hash"}
    document = Row(doc_id="d1", url="https://h.example/1", text=text, **place)
    run = RunRecord(
        run_id="run-1",
        stage="execute",
        started=WHEN,
        versions={"spark_prox": "0.1.0", "code": "c0de"},
        writers={"doc": WRITER, "chunk": WRITER},
        policy=POLICY,
        dialect="prox",
        input=None,
    )
    snapshot = InputSnapshot(path="crawl", files=2, bytes=99, digest="d16e57")
    ingest = dataclasses.replace(run, run_id="run-0", stage="ingest", input=snapshot.as_json())
    found = DocumentHistory(doc_id="d1", document=document, refined=refined, programs=programs, run=run, ingest=ingest)
    return dataclasses.replace(found, **more)  # type: ignore[arg-type]


def test_it_tells_where_a_row_comes_from() -> None:
    said = history_report(history(), paint=PLAIN)
    for part in (
        "input     crawl: 2 files, 99 bytes, digest d16e57",
        "by run run-0, spark_prox 0.1.0 code c0de",
        "doc       some-model revision rev-1, template page@1 t-hash, engine scripted",
        "policy    default, pppppppppppppppp, min_drop_margin None, min_remove_margin 1.0",
        "refined   2026-01-02 03:04 by run run-1, spark_prox 0.1.0 code c0de",
    ):
        assert part in said


def test_it_tells_what_became_of_every_call_and_why_a_line_stays() -> None:
    lines = history_report(history(), paint=PLAIN).splitlines()
    calls = {
        line.split(")")[0].strip() + ")": line.split(")", 1)[1].strip() for line in lines if "remove_lines(" in line
    }
    assert calls == {
        "remove_lines(0, 0)": "applied, 1",
        "remove_lines(2, 2)": "refused UNSURE",
        "remove_lines(4, 4)": "applied, 1",
        "remove_lines(77, 78)": "out of range",
    }
    assert "  -     0  Home | About" in lines
    assert "  ?     2  Login  (margin 0.40)" in lines
    assert "  EDITED: " in "".join(line for line in lines if line.startswith("  EDITED"))


def test_another_policy_is_applied_to_the_stored_programs() -> None:
    loose = other_policy("default,min_remove_margin=0.1", history().run, RunConfig())
    assert loose.policy.min_remove_margin == 0.1
    assert replay_under(history(), loose.policy).lines_after == 2
    said = history_report(history(), paint=PLAIN, what_if=[loose, other_policy("default", history().run, RunConfig())])
    under = said.partition("Under policy default,min_remove_margin=0.1\n")[2]
    assert "EDITED" in under.splitlines()[0]
    assert "-     2  Login" in under
    assert said.endswith("the same text")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("defualt", "POLICY_UNKNOWN"),
        ("compat,max_erors=1", "POLICY_UNKNOWN_FIELD"),
        ("compat,max_errors", "POLICY_BAD_VALUE"),
    ],
)
def test_a_policy_that_is_none_is_an_error(asked: str, code: str) -> None:
    with pytest.raises(ConfigError, match=code):
        other_policy(asked, None, RunConfig())


def test_a_dropped_document_shows_what_was_dropped_and_a_lost_run_says_so() -> None:
    whole = history()
    assert whole.refined is not None
    dropped = Row(**{**whole.refined.asDict(), "outcome": "DROPPED", "text": None, "edits": []})
    said = history_report(dataclasses.replace(whole, refined=dropped, run=None, ingest=None), paint=PLAIN)
    assert "- Home | About" in said
    assert "it was killed early" in said
    assert "not known: the run left no row" in said


def test_of_programs_of_several_models_those_of_the_run_count() -> None:
    other = program("chunk", "remove_lines(1, 1)", model_revision="rev-2", generated_at=WHEN.replace(year=2027))
    whole = history()
    both = dataclasses.replace(whole, programs=[*whole.programs, other])
    assert [row["model_revision"] for row in both.used("chunk")] == ["rev-1"]
    assert "1 more of other settings" in history_report(both, paint=PLAIN)
    unknown = dataclasses.replace(both, run=None)
    assert [row["model_revision"] for row in unknown.used("chunk")] == ["rev-2"]  # the last


def test_a_record_that_never_became_a_document_shows_its_reject() -> None:
    reject = Row(code="EMPTY_TEXT", stage="ingest", detail=None, attempts=1)
    said = history_report(DocumentHistory(doc_id="x", document=None, refined=None, rejects=[reject]), paint=PLAIN)
    assert "rejected  EMPTY_TEXT by ingest" in said


def test_no_control_character_of_a_document_or_program_is_shown() -> None:
    evil = "\x1b[2J\x1b]0;t\x07 \x9b31m \u202e words of a line"
    whole = history(
        text=f"{evil}\n{evil} this\n" + "fine line of text\n" * 5, chunk=f"{evil}\nnormalize('this', '{evil}')"
    )
    assert whole.document is not None
    document = Row(**{**whole.document.asDict(), "url": evil, "path": evil})
    said = history_report(dataclasses.replace(whole, document=document, doc_id=evil), paint=PLAIN, what_if=[])
    assert not any(unicodedata.category(character)[0] == "C" for character in said.replace("\n", ""))
    coloured = history_report(history(), paint=Paint(enabled=True))
    assert "\x1b[31m" in coloured
