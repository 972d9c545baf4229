"""The golden examples are the language's specification: docs/programs.md shows exactly these."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from spark_prox.programs import (
    DIALECTS,
    POLICIES,
    CallStatus,
    Code,
    Outcome,
    Policy,
    apply_edits,
    refine_text,
    restore_text,
)

GOLDEN = Path(__file__).parent.parent.parent / "golden"
FILES = ("prox", "compat", "refinex", "ultrax", "rescraper", "doc")


def examples(name: str) -> list[dict[str, Any]]:
    lines = (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "example",
    [pytest.param(example, id=f"{name}: {example['why']}") for name in FILES for example in examples(name)],
)
def test_a_golden_example_comes_out_as_written(example: dict[str, Any]) -> None:
    options = {key: example[key] for key in ("stage", "dialect", "policy") if key in example}
    refinement = refine_text(example["document"], example["program"], **options)
    assert (refinement.text, refinement.outcome, refinement.reason) == (
        example["text"],
        example["outcome"],
        example["reason"],
    )
    if refinement.text is not None:
        assert apply_edits(example["document"], refinement.edits) == refinement.text
        assert restore_text(refinement.text, refinement.edits) == example["document"]


def test_every_golden_file_is_tested() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.jsonl")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_grammar_document_shows_exactly_the_golden_examples(name: str, repository: Path) -> None:
    document = (repository / "docs" / "programs.md").read_text(encoding="utf-8")
    begin, end = f"<!-- golden: {name} -->\n", "<!-- end -->"
    assert begin in document
    shown = document.partition(begin)[2].partition(end)[0]
    assert shown == table(examples(name))


def test_the_grammar_document_names_every_code_status_outcome_and_policy_field(repository: Path) -> None:
    document = (repository / "docs" / "programs.md").read_text(encoding="utf-8")
    names = [*Code, *CallStatus, *Outcome, *(field.name for field in dataclasses.fields(Policy)), *POLICIES, *DIALECTS]
    missing = [str(name) for name in names if str(name) not in ("name",) and f"`{name}`" not in document]
    assert missing == []


def table(rows: list[dict[str, Any]]) -> str:
    """The examples as the document shows them; `␤` is a newline."""
    first = rows[0]["document"]
    lines = ["| program | outcome | text | why |", "|---|---|---|---|"]
    for row in rows:
        given = "" if row["document"] == first else f"on {_shown(row['document'])}: "
        policy = f" (policy {row['policy']})" if row.get("policy") and row["policy"] != rows[0].get("policy") else ""
        text = "the document" if row["text"] == row["document"] else _shown(row["text"])
        lines.append(
            f"| {given}{_shown(row['program'])}{policy} | {row['outcome']} {row['reason']} | {text} | {row['why']} |"
        )
    return f"Document: {_shown(first)}\n\n" + "\n".join(lines) + "\n"


def _shown(text: str | None) -> str:
    if text is None:
        return "null"
    if not text:
        return "(nothing)"
    shown = text if len(text) <= 220 else text[:100] + "…" + text[-60:]
    shown = shown.replace("\n", "␤").replace("|", "\\|")
    ticks = "````" if "`" in shown else "`"
    return f"{ticks} {shown} {ticks}" if "`" in shown or shown != shown.strip() else f"`{shown}`"
