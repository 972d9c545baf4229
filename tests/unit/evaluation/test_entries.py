"""A model is compared as a run would use it: what its folder says, what the settings say, and the run's dialect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_prox.config.run import load_config
from spark_prox.engines.base import Completion
from spark_prox.evaluation import entries
from spark_prox.evaluation.entries import Entry, model_entry
from spark_prox.evaluation.executed import execute_pages
from spark_prox.writers import ModelWriter, policy_of, writers_of


def folder_with(folder: Path, settings: dict[str, object] | None, model_type: str = "llama") -> str:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    if settings is not None:
        (folder / "spark_prox.json").write_text(json.dumps(settings))
    return str(folder)


def writers(entry: Entry) -> dict[str, ModelWriter]:
    found: dict[str, ModelWriter] = entry.write.args[0]  # type: ignore[attr-defined]
    return found


def test_levels_templates_and_margins_are_those_that_the_folder_names(tmp_path: Path) -> None:
    said = {"level": "chunk", "template": "smollm2-chunk", "margins": {"min_remove_margin": 0.3}}
    entry = model_entry(folder_with(tmp_path, said), threads=1)
    assert entry.levels == ("chunk",)
    assert writers(entry)["chunk"].prompt.template.name == "smollm2-chunk"
    assert entry.policy.min_remove_margin == 0.3


def test_a_template_that_is_named_wins_over_the_folder(tmp_path: Path) -> None:
    entry = model_entry(folder_with(tmp_path, {"level": "chunk"}), threads=1, template="prox-bare")
    assert {level: writer.prompt.template.name for level, writer in writers(entry).items()} == {
        "doc": "prox-doc-bare",
        "chunk": "prox-chunk-bare",
    }


def test_an_entry_has_the_writers_and_the_policy_of_the_run(tmp_path: Path, repository: Path) -> None:
    model = folder_with(tmp_path, None)
    settings, file = ["policy.overrides={min_remove_margin: 7}"], repository / "conf" / "rescraper.yaml"
    run = load_config(file, settings, {"model.path": model, "model.threads": 3})
    entry = model_entry(model, threads=3, settings=settings, config=file)
    assert writers(entry) == writers_of(run)
    assert (entry.policy, entry.dialect, entry.levels) == (policy_of(run), "rescraper", ("chunk",))
    assert writers(entry)["chunk"].prompt.max_chunk_tokens == 26000


def test_margins_remove_the_same_lines_in_every_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        """Keeps every other line."""

        def complete(self, requests):  # type: ignore[no-untyped-def]
            for request in requests:
                margins = tuple(9.0 - 18.0 * (place % 2) for place in range(len(request.read_at)))
                yield Completion(request_id=request.request_id, finish_reason="read", prompt_tokens=1, margins=margins)

    monkeypatch.setattr(entries, "engine_for", lambda _: Engine())
    monkeypatch.setattr(entries, "open_ensemble", lambda _: None)
    lines = ["One sentence of some words.", "Menu", "Another sentence of some words.", "Home"]
    for dialect in ("prox", "refinex", "ultrax", "rescraper"):
        entry = model_entry("embedded", threads=1, settings=[f"dialect={dialect}"])
        rows = entry.rows([lines], "chunk")
        (page,) = execute_pages([lines], rows, entry.policy, dialect=entry.dialect)
        assert page.keep == (True, False, True, False), dialect
