"""`make bench`: which parts run, and the page that is made of their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.measured import ratios, spread, write_result
from bench.parts import PARTS, Needs, chosen
from bench.results import page, read_results, shown


def test_a_spread_shows_its_median_and_its_ends() -> None:
    assert shown(spread([3.0, 1.0, 2.5])) == "2.50 (1.00-3.00)"
    assert shown(spread([1234.5])) == "1,234"
    assert shown(ratios([10.0, 30.0, 24.0], [5.0, 10.0, 8.0])) == "3.00 (2.00-3.00)"
    assert [shown(value) for value in (True, None, 7, 0.123, "a|b", [1, 2])] == ["yes", "", "7", "0.12", "a\\|b", "1 2"]


def test_the_page_is_made_of_the_files_of_the_parts(tmp_path: Path) -> None:
    rows = [
        {"what": "ours", "MB/s": spread([10.0, 30.0, 20.0])},
        {"what": "theirs", "MB/s": spread([5.0])},
        {"what": "ours against theirs", "times": spread([4.0])},
    ]
    write_result(tmp_path / "one.json", "one", {"rounds": 3, "folder": tmp_path, "limit": None}, rows)
    (tmp_path / "two.json").write_text(json.dumps({"name": "two", "left_out": "no web pages"}))
    (tmp_path / "three.json").write_text(json.dumps({"name": "three", "settings": {}, "rows": [], "printed": "8 s\n"}))
    text = page(read_results(tmp_path), {"processor": "a good one"}, note="the machine was busy")
    assert "- processor: a good one\n- note: the machine was busy\n" in text
    assert "Settings: rounds 3.\n" in text
    assert "| what | MB/s |\n|---|---|\n| ours | 20.0 (10.0-30.0) |\n| theirs | 5.00 |\n" in text
    assert "| what | times |\n|---|---|\n| ours against theirs | 4.00 |\n" in text
    assert "## three\n\n```\n8 s\n```\n" in text
    assert text.endswith("## Left out\n\n- `two`: no web pages\n")
    assert str(tmp_path) not in text


def test_parts_are_chosen_by_name_and_heavy_ones_only_when_named() -> None:
    reasons = {part.name: reason for part, reason in chosen(PARTS, [], ["filters", "engine"])}
    assert reasons["programs"] == ""
    assert reasons["engine"] == reasons["filters.rules"] == reasons["filters.near"] == "left out by name (--skip)"
    assert reasons["corpus_quality"].endswith("--only corpus_quality runs it")
    assert [part.name for part, reason in chosen(PARTS, ["flat_memory"], []) if not reason] == ["flat_memory"]
    with pytest.raises(ValueError, match="no part 'speed'"):
        chosen(PARTS, ["speed"], [])


def test_a_part_says_what_a_machine_lacks() -> None:
    lacking = {part.name: part.needs(Needs()) for part in PARTS}
    assert lacking["programs"] == ""
    assert lacking["ingest"].startswith("no environment with datatrove")
    assert lacking["filters.rules"] == "no web pages (--pages FILE...)"
    assert PARTS[0].needs(Needs(datatrove="python", pages=[Path("pages")])) == ""


def test_every_part_is_a_file_of_the_repository(repository: Path) -> None:
    assert {part.words[0] for part in PARTS if not (repository / part.words[0]).exists()} <= {"bench/overhead.py"}
