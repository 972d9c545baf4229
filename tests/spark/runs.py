"""Runs of the pipeline in the tier's session, from settings or as a job's command line, in small Arrow batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spark_prox.config.run import load_config
from spark_prox.functions import Functions
from spark_prox.pipeline import Pipeline
from tests import jobs
from udfs.functions import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import Row

ARROW_ROWS = 16
"""Most rows in an Arrow batch: several batches from few rows. A pipeline sets its own number on the live session."""
SMALL_BATCHES = f"placement.arrow_batch_rows={ARROW_ROWS}"
NO_HEADER = "model.script=remove_lines(start=0, end=0)"
"""The answer of a scripted model: the first line goes."""


def scripted(model: Path, script: str = NO_HEADER) -> tuple[str, ...]:
    """Settings of a run whose model always gives one answer; its tokenizer is real."""
    return f"model.path={model}", "model.engine=scripted", script


def write_lines(file: Path, rows: Iterable[Mapping[str, object] | str]) -> Path:
    """A JSON-lines file; a string is a line as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def pipeline(
    warehouse: object,
    source: object = None,
    *sets: str,
    functions: Functions = FUNCTIONS,
    writes: bool = True,
    **columns: object,
) -> Pipeline:
    """A pipeline of these settings.

    Args:
        sets: as for `--set`.
        columns: keys of the section `input`; without `format` it is jsonl.
    """
    given: dict[str, object] = {"warehouse": str(warehouse)}
    if source is not None:
        keys = {"path": str(source), "format": "jsonl", **columns}
        given |= {f"input.{key}": value for key, value in keys.items()}
    return Pipeline(load_config(None, [SMALL_BATCHES, *sets], given), functions, name="test", writes=writes)


def refine(pipe: Pipeline) -> dict[str, Row]:
    """Run all stages; the rows of `refined` by document."""
    pipe.ingest()
    pipe.advance()
    return refined(pipe)


def refined(pipe: Pipeline) -> dict[str, Row]:
    """The rows of `refined` by document."""
    return {row["doc_id"]: row for row in pipe.warehouse.read("refined").collect()}


def figures(pipe: Pipeline) -> dict[str, int]:
    """Documents that each stage of a run worked on."""
    rows = pipe.warehouse.read("runs").where(f"run_id = '{pipe.log.run_id}'").collect()
    return {row["stage"]: row["documents"] for row in rows}


def run_job(name: str, *words: str) -> int:
    """The exit code of a job with this command line."""
    return jobs.run_job(name, "--set", SMALL_BATCHES, *words)
