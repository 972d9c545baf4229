"""Incremental runs over Delta sources: appended rows, a change data feed, and runs killed between any two commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F

from spark_prox.config.input import InputSpec
from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError, InputError, TableError
from spark_prox.pipeline import Pipeline
from spark_prox.sources.frames.delta_stream import DeltaStream, stream_error
from spark_prox.warehouse.tables import Warehouse
from tests.spark.runs import pipeline, scripted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = " ".join(f"word{n}" for n in range(20))
FEED = "delta.enableChangeDataFeed = true"
Rows = Sequence[tuple[str | None, str | None]]


def page(name: str) -> str:
    return f"Home {name}\n{WORDS} {name}\n{WORDS}"


def pages(*names: str) -> Rows:
    return [(name, page(name)) for name in names]


def append(spark: SparkSession, source: Path, rows: Rows) -> None:
    frame = spark.createDataFrame([(*row, 1) for row in rows], "id string, text string, n int").coalesce(1)
    frame.write.format("delta").mode("append").save(str(source))


def feed(spark: SparkSession, source: Path, rows: Rows) -> DeltaTable:
    """A source with rows and a history from before it kept a change data feed."""
    append(spark, source, rows)
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES ({FEED})")
    return DeltaTable.forPath(spark, str(source))


GONE = "gone"


def change(table: DeltaTable, changes: Sequence[tuple[str, str, str]]) -> None:
    """One commit that updates, deletes and adds rows: id, new id, text or `GONE`."""
    frame = table.toDF().sparkSession.createDataFrame([*changes], "id string, new_id string, text string")
    merge = table.alias("t").merge(frame.coalesce(1).alias("c"), "t.id = c.id")
    merge = merge.whenMatchedDelete(f"c.text = '{GONE}'").whenMatchedUpdate(set={"id": "c.new_id", "text": "c.text"})
    merge.whenNotMatchedInsert(values={"id": "c.id", "text": "c.text", "n": "1"}).execute()


def following(model: Path, source: object, warehouse: object, *sets: str, writes: bool = True) -> Pipeline:
    """A run that follows a Delta source."""
    keys = {"format": "delta", "id_column": "id", "incremental": True}
    return pipeline(warehouse, source, *scripted(model), *sets, writes=writes, **keys)


def refine(model: Path, source: object, warehouse: object, *sets: str) -> tuple[int, dict[str, int]]:
    """Micro-batches of a run, and the documents that its stages worked on."""
    pipe = following(model, source, warehouse, *sets)
    batches = pipe.refine_new()
    runs = pipe.warehouse.read("runs").where(f"run_id = '{pipe.log.run_id}'")
    worked = runs.groupBy("stage").agg(F.sum("documents").alias("documents")).collect()
    return batches, {row["stage"]: row["documents"] for row in worked if row["documents"]}


def refined(spark: SparkSession, warehouse: Path) -> dict[str, str]:
    """The refined texts; looks first whether the books balance."""
    tables = Warehouse(spark, str(warehouse))
    ids = [row["doc_id"] for row in tables.read("documents").select("doc_id").collect()]
    texts = {row["doc_id"]: row["text"] for row in tables.read("refined").collect()}
    held = [row["doc_id"] for row in tables.read("rejects").where("stage <> 'ingest'").collect()]
    assert sorted([*texts, *held]) == sorted(ids)
    assert tables.read("refined").count() == len(texts)
    keys = ["doc_id", "doc_hash", "stage", "chunk_index", "model_revision", "template_hash", "generation_hash"]
    assert tables.read("programs").groupBy(*keys).count().where("count > 1").isEmpty()
    return texts


def rejects(spark: SparkSession, warehouse: Path) -> list[tuple[str | None, str]]:
    rows = Warehouse(spark, str(warehouse)).read("rejects").collect()
    return sorted(((row["doc_id"], row["code"]) for row in rows), key=str)


def versions(spark: SparkSession, *tables: Path) -> list[int]:
    return [DeltaTable.forPath(spark, str(table)).history(1).collect()[0]["version"] for table in tables]


@pytest.mark.slow
def test_only_appended_rows_are_processed_and_a_run_without_any_does_nothing(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    append(spark, source, [*pages("a", "b"), ("blank", " "), (None, "no id")])
    stages = dict.fromkeys(("ingest", "generate-doc", "generate-chunk", "execute"), 2)
    assert refine(tiny_llama, source, warehouse) == (1, stages)
    tables = [warehouse / name for name in ("documents", "programs", "refined", "rejects")]
    before = versions(spark, *tables)
    assert refine(tiny_llama, source, warehouse) == (0, {})
    assert versions(spark, *tables) == before
    append(spark, source, [*pages("a", "b", "c"), (None, "no id either")])  # a and b are known, and the same
    assert refine(tiny_llama, source, warehouse) == (1, dict.fromkeys(stages, 1))
    assert refined(spark, warehouse) == {name: page(name).split("\n", 1)[1] for name in "abc"}
    assert rejects(spark, warehouse) == [("blank", "EMPTY_TEXT"), (None, "MISSING_ID"), (None, "MISSING_ID")]


@pytest.mark.slow
def test_micro_batches_are_bounded_and_another_policy_needs_no_new_row(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    for name in "ab":
        append(spark, source, pages(name))
    batches, worked = refine(tiny_llama, source, warehouse, "input.max_files_per_trigger=1", "chunk.enabled=false")
    assert (batches, worked["execute"]) == (2, 2)
    batches, worked = refine(tiny_llama, source, warehouse, "chunk.enabled=false", "policy.name=compat")
    assert (batches, worked) == (0, {"execute": 2})


@pytest.mark.parametrize("planned", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_updates_replace_and_deletions_remove_and_the_last_of_several_changes_counts(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path, planned: bool
) -> None:
    """And a dry run counts before either run what that will do, and writes nothing."""
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    table = feed(spark, source, [*pages("a", "b", "c", "d", "e"), ("bad", None)])

    def plan() -> dict[str, tuple[int, int | None]]:
        lines = following(tiny_llama, source, warehouse, writes=False).plan()
        return {line.stage: (line.documents, line.prompt_tokens) for line in lines}

    stages = ("ingest", "generate-doc", "generate-chunk", "execute")
    first = plan() if planned else None
    if first is not None:
        assert {stage: documents for stage, (documents, _) in first.items()} == dict.fromkeys(stages, 5)
        assert not warehouse.exists()
    assert refine(tiny_llama, source, warehouse)[0] == 1
    assert set(refined(spark, warehouse)) == set("abcde")
    tables = Warehouse(spark, str(warehouse))
    if first is not None:
        programs = tables.read("programs").groupBy("stage").agg(F.sum("prompt_tokens")).collect()
        assert {f"generate-{stage}": tokens for stage, tokens in programs} == {
            stage: tokens for stage, (_, tokens) in first.items() if tokens is not None
        }
    tables.ensure("annotations")
    label = "doc_id", "'hash' AS doc_hash", "'doc' AS stage", "-1 AS chunk_index", "'SKIPPED' AS status"
    tables.append("annotations", spark.createDataFrame([("a",), ("b",)], "doc_id string").selectExpr(*label))
    change(table, [("a", "a", page("first")), ("b", "b", GONE), ("c", "c", GONE), ("f", "f", page("f"))])
    last = [("d", "renamed", page("d")), ("e", "e", ""), ("bad", "bad", page("mended"))]
    change(table, [("a", "a", page("second")), ("c", "c", page("again")), ("f", "f", GONE), *last])
    if planned:
        before = set(warehouse.rglob("*"))
        second = {stage: documents for stage, (documents, _) in plan().items()}
        assert set(warehouse.rglob("*")) == before
        assert second == {**dict.fromkeys(stages, 4), "remove": 3}
    _, worked = refine(tiny_llama, source, warehouse)
    assert worked == dict.fromkeys(stages, 4)
    wanted = {"a": "second", "c": "again", "renamed": "d", "bad": "mended"}
    assert refined(spark, warehouse) == {key: page(name).split("\n", 1)[1] for key, name in wanted.items()}
    assert rejects(spark, warehouse) == [("e", "EMPTY_TEXT")]
    left = tables.read("programs").select("doc_id").distinct().collect()
    assert {row["doc_id"] for row in left} == {"a", "c", "renamed", "bad"}
    assert [row["doc_id"] for row in tables.read("annotations").collect()] == ["a"]


@pytest.mark.slow
def test_a_change_without_a_feed_is_an_error_until_there_is_one(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    append(spark, source, pages("a", "b", "c"))
    refine(tiny_llama, source, warehouse)
    table = DeltaTable.forPath(spark, str(source))
    table.update("id = 'a'", {"text": F.lit(page("new"))})
    table.delete("id = 'b'")
    with pytest.raises(InputError, match=r"SOURCE_CHANGED.*enableChangeDataFeed = true"):
        refine(tiny_llama, source, warehouse)
    assert refine(tiny_llama, source, warehouse, "input.skip_change_commits=true")[1] == {}
    assert refined(spark, warehouse)["b"]
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES ({FEED})")
    assert refine(tiny_llama, source, warehouse)[1]["ingest"] == 1
    texts = refined(spark, warehouse)
    assert set(texts) == {"a", "c"}
    assert texts["a"] == page("new").split("\n", 1)[1]


@contextmanager
def dying_after(commits: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So many commits to tables of documents pass, and nothing after them."""
    commit = Warehouse.commit
    left = commits

    @contextmanager
    def counted(self: Warehouse, table: str) -> Iterator[None]:
        nonlocal left
        if not left:
            raise KeyError("killed")
        with commit(self, table):
            yield
        left -= table != "runs"
        if not left:
            raise KeyError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "commit", counted)
        yield


@pytest.mark.slow
def test_a_run_that_dies_again_and_again_ends_like_an_undisturbed_one(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    table = feed(spark, source, [*pages("a", "b", "c"), ("bad", "")])
    refine(tiny_llama, source, warehouse)
    table.update("id = 'a'", {"text": F.lit(page("new"))})
    table.delete("id = 'b'")
    table.update("id = 'c'", {"text": F.lit("")})
    append(spark, source, [*pages("d", "bad"), (None, "no id")])
    deaths = 0
    while True:
        with dying_after(2, monkeypatch):
            try:
                refine(tiny_llama, source, warehouse)
            except KeyError:
                deaths += 1
                assert deaths < 10
                continue
        break
    # b and c leave three tables, an old reject goes; documents, rejects, programs of two stages, refined are written.
    assert deaths >= 4
    wanted = {"a": "new", "d": "d", "bad": "bad"}
    assert refined(spark, warehouse) == {key: page(name).split("\n", 1)[1] for key, name in wanted.items()}
    assert rejects(spark, warehouse) == [("c", "EMPTY_TEXT"), (None, "MISSING_ID")]


@pytest.mark.slow
def test_a_source_that_cannot_be_followed_is_one_error(spark: SparkSession, tiny_llama: Path, tmp_path: Path) -> None:
    source, warehouse = tmp_path / "crawl", tmp_path / "w"
    table = feed(spark, source, pages("a", "b"))
    refine(tiny_llama, source, warehouse)
    table.update("id = 'a'", {"text": F.lit(page("new"))})
    table.update("id = 'a'", {"text": F.lit(page("newer"))})
    for file in [*source.glob("_change_data/*"), *source.glob("*.parquet")]:
        if file.name not in {Path(name).name for name in table.toDF().inputFiles()}:
            file.unlink()  # what VACUUM does after seven days
    with pytest.raises(InputError, match=r"SOURCE_HISTORY.*Delete the checkpoint"):
        refine(tiny_llama, source, warehouse)
    spark.sql(f"ALTER TABLE delta.`{source}` ADD COLUMNS (more string)")
    append_more = spark.createDataFrame([("z", page("z"), 1, "m")], "id string, text string, n int, more string")
    append_more.write.format("delta").mode("append").save(str(source))
    with pytest.raises(TableError, match=r"TABLE_SCHEMA.*'more'"):
        refine(tiny_llama, source, warehouse, f"input.checkpoint={tmp_path / 'fresh'}")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[STREAM_FAILED] ended: [DELTA_SOURCE_IGNORE_DELETE] a delete", "SOURCE_CHANGED"),
        ("[STREAM_FAILED] ended: [DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE] another id", "SOURCE_REPLACED"),
        ("[STREAM_FAILED] ended: [DELTA_SCHEMA_CHANGED_WITH_VERSION] Detected schema change", "SOURCE_SCHEMA"),
        ("[DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE] no log", "SOURCE_HISTORY"),
        ("[FAILED_READ_FILE.FILE_NOT_EXIST] no file", "SOURCE_HISTORY"),
        ("[STREAM_FAILED] ended: out of memory", None),
    ],
)
def test_what_delta_says_of_a_source_has_a_code(message: str, code: str | None) -> None:
    source = DeltaStream(
        spark=None,  # type: ignore[arg-type]
        spec=InputSpec(path="crawl", format="delta"),
        root="/crawl",
        name="crawl",
        has_feed=False,
        key="0",
    )
    error = stream_error(RuntimeError(message), source, "checkpoint")
    assert (error.code if error is not None else None) == code


@pytest.mark.slow
def test_catalog_tables_have_their_checkpoint_with_their_schema(
    spark: SparkSession, tiny_llama: Path, tmp_path: Path
) -> None:
    spark.sql("CREATE SCHEMA followed")
    try:
        frame = spark.createDataFrame(pages("a"), "id string, text string")
        frame.write.format("delta").saveAsTable("followed.crawl")
        assert refine(tiny_llama, "followed.crawl", "catalog:followed")[0] == 1
        assert refine(tiny_llama, "followed.crawl", "catalog:followed") == (0, {})
        place = spark.catalog.getDatabase("followed").locationUri.removeprefix("file:")
        assert list(Path(place).glob("_checkpoints/*/offsets/0"))
    finally:
        spark.sql("DROP SCHEMA followed CASCADE")


def test_only_delta_tables_can_be_followed() -> None:
    with pytest.raises((InputError, ConfigError), match=r"WRONG_FORMAT.*Delta"):
        load_config(None, [], {"input.path": "pages.jsonl", "input.incremental": True})
