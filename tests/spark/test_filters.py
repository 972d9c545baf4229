"""Filters in a run: verdicts, what models then see, and what later runs decide again.

Spark runs, because filters are joins of tables; what they decide of one text is tested without it.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from spark_prox.heuristics.repeated_lines import line_keys, normal_lines
from spark_prox.pipeline import FILTERS
from spark_prox.programs.write import remove_lines_program
from spark_prox.stages.addresses import normal_address
from spark_prox.stages.components import components
from spark_prox.stages.ingest import Ingest
from spark_prox.stages.removal import remove_documents
from spark_prox.stages.repeated_lines import repeated_places
from spark_prox.warehouse.tables import Warehouse
from tests.spark import runs
from tests.spark.conftest import page

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from spark_prox.pipeline import Pipeline
    from tests.spark.conftest import Finished

EXACT = "filters.exact_duplicates.enabled=true"


def verdicts(pipe: Pipeline, stage: str) -> dict[str, Row]:
    rows = pipe.warehouse.read("verdicts").where(F.col("stage") == stage).collect()
    return {row["doc_id"]: row for row in rows}


def write_source(folder: Path) -> Path:
    rows: list[dict[str, object] | str] = [
        {"id": f"d{n}", "url": f"https://h.example/{n}", "text": page(n)} for n in range(4)
    ]
    rows += [
        {"id": "same-address", "url": "http://www.H.example:80/1/?utm_source=x#top", "text": page(9)},
        {"id": "same-text", "url": "https://other.example/2", "text": page(2).replace(" ", "  ")},
        {"id": "no-address", "url": None, "text": page(3) + "\n"},
    ]
    return runs.write_lines(folder / "pages.jsonl", rows)


def test_exact_duplicates_are_dropped_with_a_verdict_and_no_model_sees_them(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = (*runs.scripted(tiny_llama), EXACT)
    source = write_source(tmp_path)

    first = runs.pipeline(tmp_path / "w", source, *settings, id_column="id")
    assert [(line.stage, line.documents) for line in first.plan()] == [
        ("ingest", 7),
        ("exact-duplicates", 7),
        *(("generate-doc", 7), ("generate-chunk", 7), ("execute", 7)),
    ]
    rows = runs.refine(first)
    found = verdicts(first, "exact-duplicates")
    dropped = {key: (row["reason"], row["duplicate_of"]) for key, row in found.items() if row["verdict"] == "drop"}
    assert dropped == {
        "same-address": ("DUPLICATE_URL", "d1"),
        "same-text": ("DUPLICATE_TEXT", "d2"),
        "no-address": ("DUPLICATE_TEXT", "d3"),
    }
    assert len(found) == len(rows) == 7  # every document has a verdict and a row
    assert {key: (row["outcome"], row["reason"], row["doc_reason"]) for key, row in rows.items() if key in dropped} == {
        key: ("DROPPED", reason, "FILTERED") for key, (reason, _) in dropped.items()
    }
    asked = {row["doc_id"] for row in first.warehouse.read("programs").collect()}
    assert asked == {"d0", "d1", "d2", "d3"}
    assert runs.figures(first) == {
        **{"ingest": 7, "exact-duplicates": 7},
        **{"generate-doc": 4, "generate-chunk": 4, "execute": 7},
    }


@pytest.mark.slow
def test_a_duplicate_takes_the_place_of_what_leaves_and_verdicts_of_a_filter_that_is_off_do_not_count(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = (*runs.scripted(tiny_llama), EXACT)
    source = write_source(tmp_path)

    def run() -> Pipeline:
        return runs.pipeline(tmp_path / "w", source, *settings, id_column="id")

    first = run()
    runs.refine(first)
    # What stayed leaves. Nothing else is decided again.
    with first.phase(), first.warehouse.staged(spark.createDataFrame([("d2",)], "doc_id string"), "gone") as gone:
        assert remove_documents(first.run, gone) == 1
    again = run()
    again.advance()
    assert runs.figures(again) == {
        **{"exact-duplicates": 1, "generate-doc": 1, "generate-chunk": 1, "execute": 1},
    }
    assert verdicts(again, "exact-duplicates")["same-text"]["verdict"] == "keep"
    assert runs.refined(again)["same-text"]["outcome"] == "EDITED"
    assert "d2" not in verdicts(again, "exact-duplicates")
    assert [line.documents for line in run().plan()] == [1, 1, 1, 1, 1]  # d2 would come back

    # Without the filter all documents are refined, and its verdicts do not count.
    off = runs.pipeline(tmp_path / "w", source, *runs.scripted(tiny_llama), id_column="id")
    off.advance()
    assert {row["outcome"] for row in runs.refined(off).values()} == {"EDITED"}


def test_language_and_rules_give_verdicts_with_scores_and_figures(finished: Finished, tmp_path: Path) -> None:
    warehouse, source = finished.copy(tmp_path)
    on = ("filters.language.enabled=true", "filters.language.keep=[en, de]", "filters.language.min_score=0")
    only_c4 = ("filters.rules.enabled=true", "filters.rules.sets=[c4]")
    pipe = runs.pipeline(warehouse, source, "model.engine=scripted", *on, *only_c4, id_column="id")
    with pipe.phase():
        for stage in FILTERS:
            stage.run(pipe.run)
    languages, rules = verdicts(pipe, "language"), verdicts(pipe, "rules")
    assert len(languages) == pipe.warehouse.read("documents").count()
    assert all(row["language"] and 0 < row["score"] <= 1 for row in languages.values())
    kept = {key for key, row in languages.items() if row["verdict"] == "keep"}
    assert {row["reason"] for key, row in languages.items() if key not in kept} <= {"LANGUAGE"}
    assert {*rules} == kept  # a filter looks at what those before it keep
    assert {(row["verdict"], row["reason"], row["detail"]) for row in rules.values()} == {
        ("drop", "RULE_C4_SENTENCES", "0 < 5")
    }
    # Another wanted language: all are decided again and replaced.
    other = runs.pipeline(
        warehouse, source, "model.engine=scripted", *on[:1], "filters.language.keep=[tlh]", id_column="id"
    )
    with other.phase():
        for stage in FILTERS:
            stage.run(other.run)
    assert {row["reason"] for row in verdicts(other, "language").values()} == {"LANGUAGE"}
    assert runs.figures(other) == {"language": len(languages)}


def near_text(seed: int, changed: int, extra: str = "") -> str:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefgh", k=6)) for _ in range(200)]
    return " ".join([*words[:changed], f"changed{'abcdefgh'[changed % 8]}", *words[changed + 1 :], extra])


NEAR = [
    ("a", near_text(1, 5)),
    ("b", near_text(1, 90, "the longest of them")),
    ("c", near_text(1, 150)),
    ("other", near_text(2, 5)),
    ("short", "two words"),
]


def near_duplicates(folder: Path, name: str, rows: list[tuple[str, str]]) -> Pipeline:
    """A run's filters over what it brings."""
    source = runs.write_lines(folder / name, [{"id": key, "text": text} for key, text in rows])
    on = ("model.engine=scripted", "filters.near_duplicates.enabled=true")
    pipe = runs.pipeline(folder / "w", source, *on, id_column="id")
    with pipe.phase():
        Ingest().run(pipe.run)
        for stage in FILTERS:
            stage.run(pipe.run)
    return pipe


@pytest.mark.usefixtures("spark")
def test_of_near_duplicates_the_longest_stays(tmp_path: Path) -> None:
    found = verdicts(near_duplicates(tmp_path, "1", NEAR), "near-duplicates")
    assert {key: row["duplicate_of"] for key, row in found.items()} == {
        **{"a": "b", "b": None, "c": "b"},
        **{"other": None, "short": None},
    }
    assert {row["reason"] for row in found.values()} == {"NEAR_DUPLICATE", None}
    assert found["short"]["keys"] is None


@pytest.mark.slow
def test_later_near_duplicates_are_dropped_until_what_stayed_leaves(spark: SparkSession, tmp_path: Path) -> None:
    near_duplicates(tmp_path, "1", NEAR)
    # A longer one that comes later is dropped: a model has worked on b. It is found through a, which was dropped, too.
    pipe = near_duplicates(tmp_path, "2", [("later", near_text(1, 30, "the longest of them all and even longer"))])
    assert verdicts(pipe, "near-duplicates")["later"]["duplicate_of"] == "b"
    assert runs.figures(pipe)["near-duplicates"] == 1

    with pipe.phase(), pipe.warehouse.staged(spark.createDataFrame([("b",)], "doc_id string"), "gone") as gone:
        remove_documents(pipe.run, gone)
    pipe = near_duplicates(tmp_path, "3", [("other", near_text(2, 5))])
    found = verdicts(pipe, "near-duplicates")
    assert {key: row["duplicate_of"] for key, row in found.items() if key != "short"} == {
        **{"a": "later", "c": "later", "later": None},
        "other": None,
    }
    assert runs.figures(pipe)["near-duplicates"] == 3


def test_components_are_whole_however_long_their_paths(spark: SparkSession, tmp_path: Path) -> None:
    path = [(n + 1, n) for n in range(30)]
    ring = [(101, 100), (102, 101), (102, 100)]
    shuffled = [(211, 207), (213, 211), (213, 204), (209, 204)]
    edges = spark.createDataFrame([*path, *ring, *shuffled], "node long, root long")
    wanted = dict.fromkeys(range(1, 31), 0) | dict.fromkeys((101, 102), 100)
    wanted |= dict.fromkeys((207, 209, 211, 213), 204)
    warehouse = Warehouse(spark, str(tmp_path / "w"))
    with components(warehouse, edges, rounds=20, progress=lambda _: nullcontext()) as found:
        assert {row["node"]: row["root"] for row in found.collect()} == wanted
    with components(
        warehouse, edges, rounds=1, progress=lambda _: nullcontext()
    ) as found:  # in parts, but no node without a smaller one
        assert all(row["root"] < row["node"] for row in found.collect())


def test_addresses_that_only_look_different_are_one(spark: SparkSession) -> None:
    groups = [
        ["http://Example.com", "https://www.example.com/", "https://example.com:443#top", "http://me:pw@example.com."],
        ["https://example.com/a?b=1&c=2", "http://example.com/a/?c=2&utm_medium=mail&b=1&fbclid=xyz"],
        ["https://example.com/A"],
        ["https://example.com/a"],
        ["https://example.com:8080/a"],
        ["https://example.com/a?id=utm_source"],
    ]
    rows = [(number, url) for number, urls in enumerate(groups) for url in urls]
    frame = spark.createDataFrame([*rows, (99, "no address"), (99, None), (99, "mailto:x@y")], "n int, url string")
    by_group: dict[int, set[str | None]] = {}
    for row in frame.select("n", normal_address(F.col("url")).alias("normal")).collect():
        by_group.setdefault(row["n"], set()).add(row["normal"])
    assert by_group.pop(99) == {None}
    assert all(len(found) == 1 for found in by_group.values())
    assert len(set.union(*by_group.values())) == len(groups)


LINES = ("filters.repeated_lines.enabled=true", "filters.repeated_lines.min_chars=20")


def shared_page(name: str, *more: str) -> str:
    return "\n".join(["Home | Shop", f"The story of {name} and of all its people.", *more, "(c) 2024 all rights"])


def lines_that_stay(texts: dict[str, str], hosts: dict[str, str], least: int) -> dict[str, str]:
    """The reference: lines that are on fewer than `least` pages of their host."""
    keys = {key: normal_lines(text) for key, text in texts.items()}
    seen = Counter((hosts[key], line) for key, lines in keys.items() for line in {*lines})
    return {
        key: "\n".join(
            line
            for line, normal in zip(text.split("\n"), keys[key], strict=True)
            if not normal or seen[hosts[key], normal] < least
        )
        for key, text in texts.items()
    }


@pytest.mark.parametrize("grows", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_lines_that_repeat_on_a_host_go_by_a_program_and_a_host_that_grows_is_decided_again(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path, grows: bool
) -> None:
    texts = {f"a{n}": shared_page(name) for n, name in enumerate(("rivers", "hills", "woods"))}
    texts |= {"a3": "HOME  shop!\n© 1999 all rights\n", "b0": shared_page("lakes"), "b1": shared_page("coasts")}
    texts["none"] = shared_page("deserts")
    hosts = {key: {"a": "www.a.example", "b": "b.example"}.get(key[0], key) for key in texts}

    def run(name: str, ids: list[str]) -> Pipeline:
        rows: list[dict[str, object] | str] = [
            {"id": key, "url": f"https://{hosts[key]}/{key}" if key != "none" else None, "text": texts[key]}
            for key in ids
        ]
        source = runs.write_lines(tmp_path / f"{name}.jsonl", rows)
        off = ("doc.enabled=false", "chunk.enabled=false")
        pipe = runs.pipeline(tmp_path / "w", source, *runs.scripted(tiny_llama), *off, *LINES, id_column="id")
        pipe.refine()
        return pipe

    pipe = run("1", [*texts])
    found, refined = verdicts(pipe, "repeated-lines"), runs.refined(pipe)
    wanted = lines_that_stay(texts, hosts, 3)
    assert {key: row["text"] for key, row in refined.items()} == {
        **{key: wanted[key] for key in texts if key not in ("a3", "none")},
        "a3": None,  # nothing is left of it
        "none": texts["none"],  # a page without a host
    }
    assert (refined["a3"]["outcome"], refined["a3"]["reason"], refined["a3"]["doc_reason"]) == (
        *("DROPPED", "REPEATED_LINES", "FILTERED"),
    )
    assert {key: (row["program"], row["pages"]) for key, row in found.items()} == {
        **dict.fromkeys(("a0", "a1", "a2"), (remove_lines_program([0, 2]), 4)),
        **{"a3": (None, 4), "b0": (None, 2), "b1": (None, 2), "none": (None, None)},
    }
    assert refined["a0"]["reason"] == "REPEATED_LINES"
    assert [(edit["line"], edit["chunk"]) for edit in refined["a0"]["edits"]] == [(0, -1), (2, -1)]  # what went is seen

    run_of = pipe.warehouse.read("runs").where("stage = 'execute'").collect()[0]
    assert run_of["guard"]["chars_before"] == run_of["guard"]["chars_after"] > 0  # it watches the model alone

    if not grows:
        return
    # A page more on b: what its pages share repeats now. Pages of a leave: the others get their lines back. What has no
    # host is not looked at again, and not executed.
    gone = spark.createDataFrame([("a2",), ("a3",)], "doc_id string")
    with pipe.phase(), pipe.warehouse.staged(gone, "gone") as left:
        remove_documents(pipe.run, left)
    texts = {key: text for key, text in texts.items() if key not in ("a2", "a3")} | {"b2": shared_page("islands")}
    hosts["b2"] = "b.example"
    pipe = run("2", ["b2"])
    assert runs.figures(pipe) == {"ingest": 1, "repeated-lines": 5, "execute": 5}
    wanted = lines_that_stay(texts, hosts, 3)
    assert {key: row["text"] for key, row in runs.refined(pipe).items()} == {**wanted, "none": texts["none"]}
    assert wanted["a0"] == texts["a0"]
    assert wanted["b0"] != texts["b0"]


def test_of_a_large_host_a_sample_is_counted_and_shares_are_of_that(spark: SparkSession) -> None:
    def keys(*lines: str) -> list[bytes | None]:
        return line_keys("\n".join(lines))

    pages = [(f"d{n}", "h", keys("menu", "half" if n % 2 else "other", f"{'x' * n} own")) for n in range(60)]
    frame = spark.createDataFrame(
        [*pages, ("alone", None, keys("menu"))], "doc_id string, host string, keys array<binary>"
    )

    def found(*limits: float) -> dict[str, list[int]]:
        return {row["doc_id"]: sorted(row["repeated"]) for row in repeated_places(frame, *limits).collect()}  # type: ignore[arg-type]

    assert found(31, 0.0, 1000) == {f"d{n}": [0] for n in range(60)}
    assert found(2, 0.6, 1000) == {f"d{n}": [0] for n in range(60)}
    assert found(2, 0.5, 1000) == {f"d{n}": [0, 1] for n in range(60)}
    assert found(2, 1.0, 20) == {f"d{n}": [0] for n in range(60)}  # also on pages that were not counted
    assert found(30, 0.0, 20) == {}
