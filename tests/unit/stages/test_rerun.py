from __future__ import annotations

import dataclasses
import json

import pytest

from spark_prox.config.run import config_as_json, load_config
from spark_prox.errors import ProxError
from spark_prox.sources.snapshot import InputSnapshot, snapshot_of_files
from spark_prox.stages.rerun import Origins, RecordedRun, differences

WRITER = {"model": "m", "model_revision": "r1", "template": "t", "template_hash": "th", "generation_hash": "gh"}
FILES = snapshot_of_files("in", [("b", 2, 5), ("a", 1, 4)])
THEN = Origins(
    versions={"code": "c1", "pyspark": "4.1.1"},
    writers={"doc": WRITER, "chunk": WRITER},
    policy={"name": "default", "min_remove_margin": 1.0},
    snapshot=FILES,
)


def test_nothing_differs_from_itself() -> None:
    assert differences(THEN, THEN) == []
    assert InputSnapshot.of(FILES.as_json()) == FILES
    assert snapshot_of_files("in", [("a", 1, 4), ("b", 2, 5)]) == FILES


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": {"code": "c2", "pyspark": "4.1.1"}}, "code: was c1, is c2"),
        ({"versions": {"code": "c1"}}, "pyspark: was 4.1.1, is absent"),
        (
            {"writers": {"doc": WRITER, "chunk": {**WRITER, "model_revision": "r2"}}},
            "chunk level, model revision: was r1, is r2",
        ),
        ({"writers": {"chunk": WRITER}}, "doc level: was on, is off"),
        ({"policy": {"name": "default", "min_remove_margin": 2.0}}, "policy min_remove_margin: was 1.0, is 2.0"),
        (
            {"snapshot": snapshot_of_files("in", [("a", 1, 4)])},
            "input in: 2 files of 3 bytes, now 1 of 1",
        ),
        (
            {"snapshot": snapshot_of_files("in", [("b", 2, 6), ("a", 1, 4)])},
            "input in: other files, or files that were written again",
        ),
    ],
)
def test_what_differs_is_named(change: dict[str, object], said: str) -> None:
    assert differences(THEN, dataclasses.replace(THEN, **change)) == [said]  # type: ignore[arg-type]


def test_tables_are_told_apart_by_version_and_id() -> None:
    table = InputSnapshot(path="t", digest="id", version=3)
    assert table.differs(table) is None
    assert table.differs(dataclasses.replace(table, version=4)) == "version 3, now 4"
    assert table.differs(dataclasses.replace(table, digest="other")) == "another table: id, now other"
    assert table.differs(FILES) == "a table, and files"
    assert "version 3" in table.described


def test_a_row_of_an_earlier_version_says_what_is_not_known() -> None:
    old = Origins(versions=THEN.versions, writers={}, policy=None, snapshot=None)
    assert [line.partition(":")[0] for line in differences(old, THEN)] == [
        "models and policy of the run are not known",
        "the input of that time is not known",
    ]


def recorded(*sets: str, snapshot: InputSnapshot | None = FILES, **given: object) -> RecordedRun:
    config = load_config(None, list(sets), {"warehouse": "w", **given})
    origins = dataclasses.replace(THEN, snapshot=snapshot)
    return RecordedRun(run_id="run-1", tree=json.loads(config_as_json(config)), origins=origins)


def test_a_recorded_configuration_comes_back_as_it_was_with_another_warehouse() -> None:
    sets = ["policy.overrides={min_remove_margin: 2}", "chunk.max_chunks=7", "spark={spark.x: true}"]
    run = recorded(*sets, **{"input.path": "in", "input.id_column": "id"})
    again = run.config("w2", [], {})
    assert again == load_config(None, sets, {"warehouse": "w2", "input.path": "in", "input.id_column": "id"})
    assert run.config("w2", ["chunk.max_chunks=8"], {"input.path": "moved"}).input.path == "moved"  # type: ignore[union-attr]
    assert run.config("w2", [], {}) == again


def test_a_delta_table_is_read_at_the_version_of_the_run() -> None:
    given = {"input.path": "t", "input.format": "delta", "input.incremental": True}
    config = recorded(snapshot=InputSnapshot(path="t", digest="id", version=5), **given).config("w2", [], {})
    assert config.input is not None
    assert (config.input.version, config.input.incremental) == (5, False)


def test_what_cannot_be_done_again_is_an_error() -> None:
    with pytest.raises(ProxError, match=r"RERUN_NO_INPUT.*run-1"):
        recorded().config("w2", [], {})
    other = recorded(**{"input.path": "in"})
    broken = dataclasses.replace(other, tree={**other.tree, "later_section": {}})
    with pytest.raises(ProxError, match=r"RERUN_CONFIG.*later_section"):
        broken.config("w2", [], {})
