"""Both levels and the execute stage in one callable on Arrow batches, without Spark: documents in are rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pytest

from spark_prox.config.run import load_config
from spark_prox.writers import policy_of, writer_of, writers_of
from udfs.functions import FUNCTIONS
from udfs.generate import PROGRAM_COLUMNS
from udfs.refine import RefineRows

PAGE = "Menu | Shop\nThe river rose two metres overnight.\nNobody was hurt."


def function(model: Path, **settings: Any) -> RefineRows:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    scripted = {"model.path": str(model), "model.engine": "scripted", "model.script": "remove_lines(start=0, end=0)"}
    config = load_config(None, base={**scripted, **dotted})
    writers = writers_of(config)
    rules = policy_of(config)
    return RefineRows(
        programs={level: writer.function(FUNCTIONS) for level, writer in writers.items()},
        revisions={level: writer.key().model_revision for level, writer in writers.items()},
        decide=FUNCTIONS.decide_documents(policy=rules, dialect=config.dialect),
        execute=FUNCTIONS.execute_programs(
            policy=rules, dialect=config.dialect, tokenizer=writer_of(config, "chunk").tokenizer
        ),
    )


def rows(refine: RefineRows, *documents: tuple[str | None, str | None]) -> list[dict[str, Any]]:
    """Refined rows of (id, text), in order."""
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([id_ for id_, _ in documents], pa.string()),
            "text": pa.array([text for _, text in documents], pa.string()),
            "own": pa.array(range(len(documents))),
        }
    )
    refined = pa.Table.from_batches(list(refine([batch])))
    assert refined.column("own").to_pylist() == list(range(len(documents)))
    return refined.drop_columns(["own"]).to_pylist()


def test_it_gives_the_columns_that_it_declares(tiny_llama: Path) -> None:
    (row,) = rows(function(tiny_llama), ("a", PAGE))
    assert list(row) == [declared.split(" ")[0] for declared in _outer(RefineRows.columns)]
    assert row["text"] == PAGE.partition("\n")[2]


def test_rows_come_out_in_order_whatever_is_wrong_with_them(tiny_llama: Path) -> None:
    found = rows(
        function(tiny_llama), ("a", None), ("b", PAGE), (None, PAGE), ("c", "\n \n"), ("d", "one line"), (" ", PAGE)
    )
    assert [row["reason"] for row in found] == [
        *("MISSING_TEXT", "EDITS", "MISSING_ID", "EMPTY_TEXT", "DOCUMENT_WIPED", "MISSING_ID")
    ]
    assert [row["text"] for row in found] == [None, PAGE.partition("\n")[2], PAGE, "\n \n", found[4]["text"], PAGE]
    assert [len(row["programs"]) for row in found] == [0, 2, 0, 0, 2, 0]


def test_a_dropped_document_is_asked_for_no_chunks(tiny_llama: Path) -> None:
    (row,) = rows(function(tiny_llama, model__script_margin=-5.0), ("a", PAGE))
    assert (row["outcome"], row["text"], row["doc_margin"]) == ("DROPPED", None, -5.0)
    assert [program["stage"] for program in row["programs"]] == ["doc"]


def test_a_level_that_is_off_writes_nothing(tiny_llama: Path) -> None:
    (row,) = rows(function(tiny_llama, doc__enabled=False), ("a", PAGE))
    assert (row["outcome"], row["doc_reason"]) == ("EDITED", "STAGE_OFF")
    (row,) = rows(function(tiny_llama, chunk__enabled=False), ("a", PAGE))
    assert (row["outcome"], row["text"], len(row["programs"])) == ("KEPT", PAGE, 1)


def test_rules_write_programs_too() -> None:
    (row,) = rows(function(Path("keep"), model__engine="author"), ("a", PAGE))
    assert row["programs"][1]["model_revision"] == row["programs"][0]["model_revision"]
    assert row["tokens_before"] > 0


@dataclass(frozen=True)
class Broken:
    """Writes the programs of an engine that failed, or none."""

    columns: ClassVar[str] = PROGRAM_COLUMNS
    status: str

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if self.status:
                chunk = {"chunk_index": 0, "chunk_count": 1, "first_line": 0, "line_count": 3, "program": None}
                said = {"status": self.status, "detail": "TIMEOUT: 900 s", "margin": None, "line_margins": None}
                yield batch.assign(**chunk, **said, prompt_tokens=5, output_tokens=0)


@pytest.mark.parametrize(("status", "code"), [("ENGINE_FAILED", "ENGINE_FAILED"), ("", "NO_PROGRAM")])
def test_a_document_that_no_engine_answered_for_has_the_code(tiny_llama: Path, status: str, code: str) -> None:
    good = function(tiny_llama)
    broken = RefineRows(
        programs={"chunk": Broken(status)}, revisions={"chunk": "r"}, decide=good.decide, execute=good.execute
    )
    (row,) = rows(broken, ("a", PAGE))
    assert (row["outcome"], row["reason"], row["text"]) == ("FAILED", code, PAGE)
    assert row["detail"] == ("TIMEOUT: 900 s" if status else None)


@dataclass(frozen=True)
class BothLevels:
    """Writes both levels' programs of pages without "long", as one pass over a whole page does."""

    columns: ClassVar[str] = PROGRAM_COLUMNS

    def __call__(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            said = {"status": "OK", "detail": None, "margin": None, "line_margins": None, "first_line": 0}
            row = {**said, "chunk_count": 1, "line_count": 3, "prompt_tokens": 5, "output_tokens": 0}
            short = batch[~batch["text"].str.contains("long")]
            yield short.assign(**row, chunk_index=0, program="remove_lines(start=0, end=0)")
            yield batch.assign(**row, chunk_index=-1, program="keep_doc()")


def test_one_pass_over_a_page_answers_both_levels(tiny_llama: Path) -> None:
    good = function(tiny_llama, model__script="keep_chunk()")
    one_pass = RefineRows(
        programs={**good.programs, "doc": BothLevels()},
        revisions=good.revisions,
        decide=good.decide,
        execute=good.execute,
    )
    short, long = rows(one_pass, ("a", PAGE), ("b", f"{PAGE} long"))
    assert short["text"] == PAGE.partition("\n")[2]
    assert [program["program"] for program in short["programs"]] == ["keep_doc()", "remove_lines(start=0, end=0)"]
    assert long["outcome"] == "KEPT"  # its chunk was asked for alone
    assert [program["program"] for program in long["programs"]] == ["keep_doc()", "keep_chunk()"]


def _outer(ddl: str) -> Iterator[str]:
    """The parts of a DDL between commas that lie in no type."""
    depth, start = 0, 0
    for place, character in enumerate(ddl):
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and not depth:
            yield ddl[start:place].strip()
            start = place + 1
    yield ddl[start:].strip()
