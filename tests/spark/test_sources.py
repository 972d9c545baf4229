"""Any input to rows, on Spark: nothing is lost, nothing raises for bad data, a bad request is one clear error."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_prox.config.input import InputSpec
from spark_prox.errors import InputError
from spark_prox.sources.frames import read_input
from tests.unit.sources.archive_builder import html, packed, response, wet
from udfs.ingest import ReadArchives

CORE = ["doc_id", "url", "text", "source", "crawl", "path", "position", "html_extract"]
Reader = Callable[..., DataFrame]


@pytest.fixture
def read(spark: SparkSession) -> Reader:
    def read_any(path: object, format_name: str = "jsonl", **more: Any) -> DataFrame:
        spec = InputSpec(path=str(path), format=format_name, **more)
        return read_input(spark, spec, archive_reader=ReadArchives(spec=spec))

    return read_any


@pytest.fixture(autouse=True)
def _empty_cache(spark: SparkSession) -> None:
    spark.catalog.clearCache()


def write_lines(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_parquet(path: Path, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def codes(rows: DataFrame) -> dict[str | None, int]:
    return {row[0]: row[1] for row in rows.groupBy("reject_code").count().collect()}


def good(rows: DataFrame) -> dict[str, Any]:
    return {row.doc_id: row for row in rows.where("reject_code IS NULL").collect()}


def test_columns_come_in_order_and_the_users_own_pass_with_their_types(read: Reader, tmp_path: Path) -> None:
    row = {
        "id": 7, "text": "x", "url": "http://a", "score": 1.5, "tags": ["a"], "meta": {"lang": "en", "n": [1, 2]},
        "path": "mine", "outcome": "theirs", "a b": 1, "c.d": 2, "Text_2": "y",
    }  # fmt: skip
    rows = read(write_lines(tmp_path / "a.jsonl", row))
    own = ["Text_2", "a b", "c.d", "meta", "input_outcome", "input_path", "score", "tags"]
    assert rows.columns == [*CORE, *own, "reject_code", "reject_detail"]
    [found] = rows.collect()
    assert (found.doc_id, found.url, found.text, found.source, found.position) == ("7", "http://a", "x", "jsonl", 0)
    assert found.path == str(tmp_path / "a.jsonl")
    assert (found.score, found.tags, found.meta.lang, found.meta.n) == (1.5, ["a"], "en", [1, 2])
    assert (found.input_path, found.input_outcome, found["a b"], found["c.d"]) == ("mine", "theirs", 1, 2)


def test_a_bad_line_is_a_reject_with_its_place(read: Reader, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        {"text": "one"},
        "secret no json",
        '["secret"]',
        '{"text": "secret"} {}',
        "",
        {"text": "two"},
    )
    rows = read(path)
    assert codes(rows) == {None: 2, "BAD_ROW": 3}
    rejects = rows.where("reject_code IS NOT NULL").collect()
    assert sorted(row.position for row in rejects) == [16, 31, 42]
    assert {row.path for row in rejects} == {str(path)}
    assert all("secret" not in row.reject_detail and row.text is None for row in rejects)


def test_odd_texts_are_documents_or_rejects(read: Reader, tmp_path: Path) -> None:
    long = "word " * 1_000_000
    path = write_lines(
        tmp_path / "a.jsonl",
        {"id": "long", "text": long},
        {"id": "lines", "text": "line\n" * 40_000},
        '{"id": "surrogate", "text": "a\\ud800b"}',
        {"id": "nul", "text": "a\0b"},
        {"id": "hebrew", "text": "שלום עולם"},
        {"id": "cjk", "text": "日本語\u3000中文"},
        {"id": "null", "text": None},
        {"id": "none"},
        {"id": "blank", "text": " \n\u00a0\u3000\t"},
        {"id": "empty", "text": ""},
        {"id": "number", "text": 5},
        {"id": "large", "text": "x" * 6_000_001},
    )
    rows = read(path, id_column="id", max_text_chars=6_000_000)
    assert codes(rows) == {None: 7, "MISSING_TEXT": 2, "EMPTY_TEXT": 2, "TEXT_TOO_LARGE": 1}
    found = good(rows)
    assert found["long"].text == long
    assert found["lines"].text.count("\n") == 40_000
    assert (found["surrogate"].text, found["nul"].text, found["number"].text) == ("a?b", "a\0b", "5")
    assert (found["hebrew"].text, found["cjk"].text) == ("שלום עולם", "日本語\u3000中文")
    assert {row.doc_id for row in rows.where("reject_code IS NOT NULL").collect()} == {
        "null",
        "none",
        "blank",
        "empty",
        "large",
    }


def test_keys_that_differ_in_case_only_are_kept_apart(read: Reader, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"text": "x", "Score": 1, "score": 2, "m": {"A": 1, "a": 2}})
    [row] = read(path).collect()
    assert (row.Score, row.score_2, row.m.asDict()) == (1, 2, {"A": 1, "a_2": 2})


def test_files_of_several_layouts_are_read_together(read: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "c4.jsonl", {"text": "c4", "url": "http://c4", "timestamp": "t"})
    write_lines(tmp_path / "rp" / "rp.jsonl.gz", {"raw_content": "rp", "doc_id": "r1", "meta": '{"url": "http://rp"}'})
    write_lines(
        tmp_path / "dolma.json",
        {"id": "d1", "text": "dolma", "metadata": {"url": "http://d", "cc_segment": "x/CC-MAIN-2020-16/y"}},
    )
    write_lines(tmp_path / "fineweb.jsonl", {"text": "fw", "id": "f1", "url": "http://fw", "dump": "CC-MAIN-2013-20"})
    (tmp_path / "_SUCCESS").write_bytes(b"")
    (tmp_path / ".a.jsonl.crc").write_bytes(b"crc")
    found = {row.text: row for row in read(tmp_path).collect()}
    assert {text: row.url for text, row in found.items()} == {
        "c4": "http://c4", "rp": "http://rp", "dolma": "http://d", "fw": "http://fw",
    }  # fmt: skip
    assert found["dolma"].crawl == "CC-MAIN-2020-16"
    assert found["fw"].crawl == "CC-MAIN-2013-20"
    assert found["c4"].doc_id.startswith("sha256:")


@pytest.mark.parametrize("format_name", ["jsonl", "parquet", "delta"])
def test_of_documents_with_one_given_id_the_first_stays(
    read: Reader, spark: SparkSession, tmp_path: Path, format_name: str
) -> None:
    ids = ["a", "b", "a", None, "a", "", "c"]
    texts = ["1", "2", "3", "4", "1", "6", None]
    path = tmp_path / "in"
    if format_name == "jsonl":
        write_lines(path / "x.jsonl", *({"key": key, "text": text} for key, text in zip(ids, texts, strict=True)))
    else:
        frame = spark.createDataFrame(list(zip(ids, texts, strict=True)), "key string, text string").coalesce(1)
        frame.write.format(format_name).save(str(path))
    rows = read(path, format_name, id_column="key")
    assert codes(rows) == {None: 2, "DUPLICATE_ID": 2, "MISSING_ID": 2, "MISSING_TEXT": 1}
    kept = {key: row.text for key, row in good(rows).items()}
    assert kept["b"] == "2"
    assert kept["a"] in ("1", "3")
    if format_name != "delta":
        assert kept["a"] == "1"
    assert {key: row.text for key, row in good(read(path, format_name, id_column="key")).items()} == kept


def test_made_ids_are_the_same_in_every_run_and_number_equal_documents(read: Reader, tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a" / "x.jsonl", {"text": "same"}, {"text": "other"}, {"text": "same"})
    second = write_lines(tmp_path / "b" / "y.jsonl", {"text": "other"}, {"text": "same", "url": "http://a"})
    ids = sorted(good(read(first)))
    assert len(ids) == 3
    assert sum(doc_id.endswith("#2") for doc_id in ids) == 1
    assert len(good(read(second))) == 2
    assert len(set(good(read(second))) & set(ids)) == 1
    assert len(good(read(f"{first},{second}"))) == 5


def test_a_found_id_that_repeats_or_is_null_loses_no_document(read: Reader, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "x.jsonl", {"id": "a", "text": "1"}, {"id": "a", "text": "2"}, {"id": None, "text": "3"}
    )
    found = good(read(path))
    assert {found["a"].text, found["a#2"].text} == {"1", "2"}
    assert len(found) == 3


def test_texts_are_not_shuffled_to_find_duplicates(read: Reader, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", id=["a", "b", "a"], text=["1", "2", "3"])
    rows = read(path, "parquet", id_column="id")
    plan = rows._jdf.queryExecution().executedPlan().toString()
    assert "BroadcastHashJoin" in plan
    assert "Exchange hashpartitioning" not in plan.split("InMemoryTableScan")[0]


def test_without_duplicates_the_rows_are_not_joined_at_all(read: Reader, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", id=["a", "b"], text=["1", "2"])
    assert "Join" not in read(path, "parquet", id_column="id")._jdf.queryExecution().executedPlan().toString()


def test_a_broken_parquet_file_among_good_ones_is_one_reject(read: Reader, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", id=["a"], text=["1"], n=[1])
    write_parquet(tmp_path / "b.parquet", id=["b"], text=["2"], m=["x"])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "d.parquet").write_bytes(b"")
    (tmp_path / "e.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    damaged = write_parquet(tmp_path / "f with space+.parquet", id=["f"], text=["some words " * 5000], n=[1])
    data = bytearray(damaged.read_bytes())
    data[4:200] = b"\xff" * 196
    damaged.write_bytes(data)
    rows = read(tmp_path, "parquet")
    assert codes(rows) == {None: 2, "FILE_UNREADABLE": 4}
    assert {Path(row.path).name for row in rows.where("reject_code IS NOT NULL").collect()} == {
        "c.parquet", "d.parquet", "e.parquet", "f with space+.parquet",
    }  # fmt: skip
    assert {(row.doc_id, row.n, row.m, row.position) for row in good(rows).values()} == {
        ("a", 1, None, 0),
        ("b", None, "x", 0),
    }


def test_partition_columns_of_a_parquet_directory_are_columns(read: Reader, tmp_path: Path) -> None:
    write_parquet(tmp_path / "dump=CC-MAIN-2024-10" / "part 1+.parquet", text=["1"])
    write_parquet(tmp_path / "dump=CC-MAIN-2024-18" / "part.parquet", text=["2"])
    rows = {row.text: row for row in read(tmp_path, "parquet").collect()}
    assert (rows["1"].crawl, rows["2"].crawl) == ("CC-MAIN-2024-10", "CC-MAIN-2024-18")
    assert rows["1"].path == str(tmp_path / "dump=CC-MAIN-2024-10" / "part 1+.parquet")


def test_parquet_files_with_other_types_under_one_name_are_an_error(read: Reader, tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", text=["1"], n=[1])
    write_parquet(tmp_path / "b.parquet", text=["1"], n=["x"])
    with pytest.raises(InputError, match="SCHEMA_CONFLICT"):
        read(tmp_path, "parquet")


def test_integers_in_one_file_and_floats_in_another_are_doubles_unless_one_would_be_rounded(
    read: Reader, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "a.parquet", text=["1"], n=[1])
    write_parquet(tmp_path / "b.parquet", text=["2"], n=[0.5])
    assert {(row.text, row.n) for row in read(tmp_path, "parquet").collect()} == {("1", 1.0), ("2", 0.5)}
    write_parquet(tmp_path / "c.parquet", text=["3"], n=[(1 << 53) + 1])
    with pytest.raises(InputError, match=r"SCHEMA_CONFLICT.*'n'.*a double would round"):
        read(tmp_path, "parquet")


def test_a_delta_table_is_read_by_path_and_by_name(read: Reader, spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([("d1", "text one", 3)], "doc_id string, text string, n int")
    frame.write.format("delta").save(str(tmp_path / "t"))
    frame.write.format("delta").mode("overwrite").saveAsTable("sources_test")
    for name in (tmp_path / "t", "sources_test", "default.sources_test"):
        [row] = read(name, "delta").collect()
        assert (row.doc_id, row.text, row.n, row.position) == ("d1", "text one", 3, None)
        assert row.path.startswith("/")
    spark.sql("DROP TABLE sources_test")
    with pytest.raises(InputError, match=r"INPUT_VERSION_GONE.*version 7"):
        read(tmp_path / "t", "delta", version=7)


def test_archives_of_a_directory_become_documents_and_rejects(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "CC-MAIN-2024-10-a.warc.gz").write_bytes(
        packed([response(html("one"), number=11), response(b"GIF8", number=12, mime="image/gif")])
    )
    (tmp_path / "sub" / "b.warc.wet.gz").write_bytes(packed(wet(3))[:-9])
    (tmp_path / "sub" / "copy.warc.wet.gz").write_bytes(packed(wet(1)))
    (tmp_path / "empty.warc").write_bytes(b"")
    rows = read(tmp_path, "warc", source="mine")
    assert rows.columns == [*CORE, "crawled_at", "mime_type", "reject_code", "reject_detail"]
    assert codes(rows) == {None: 4, "RECORD_NOT_TEXT": 1, "ARCHIVE_TRUNCATED": 2}
    found = good(rows)
    assert set(found) == {"urn:uuid:0011", "urn:uuid:0001", "urn:uuid:0001#2", "urn:uuid:0002"}
    assert (found["urn:uuid:0011"].text, found["urn:uuid:0011"].crawl) == ("one\nText of one.", "CC-MAIN-2024-10")
    assert {row.source for row in rows.collect()} == {"mine"}


def test_a_hostile_page_is_a_reject_and_the_next_a_document(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    hostile = response(b"<select>" + b"<option>x" * 300_000, number=1)
    path.write_bytes(hostile + response(html("next"), number=2))
    spec = InputSpec(path=str(path), format="warc")
    rows = read_input(spark, spec, archive_reader=ReadArchives(spec=spec, page_timeout_s=0.5))
    assert codes(rows) == {"RECORD_UNREADABLE": 1, None: 1}


def test_a_plain_json_file_is_read_in_parts(read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_prox.sources.frames import raw

    path = write_lines(tmp_path / "x.jsonl", *({"id": f"d{n}", "text": f"text {n} " * (n % 7)} for n in range(1, 200)))
    whole = {key: row.text for key, row in good(read(path)).items()}
    monkeypatch.setattr(raw, "SPLIT_BYTES", 1000)
    rows = read(path)
    assert {key: row.text for key, row in good(rows).items()} == whole
    assert rows.count() == 199


@pytest.mark.parametrize("name", ["missing.jsonl", "no*.jsonl", "empty", "hidden", "zzz://host/x"])
def test_an_input_without_files_is_not_found(read: Reader, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "_SUCCESS").write_bytes(b"")
    with pytest.raises(InputError, match="INPUT_NOT_FOUND"):
        read(name if "://" in name else tmp_path / name)


def test_a_directory_of_empty_files_has_no_documents(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert read(tmp_path).count() == 0
    assert read(tmp_path).columns == [*CORE, "reject_code", "reject_detail"]


@pytest.mark.parametrize(
    ("content", "format_name"),
    [
        (b'{"text": "x"}\n', "parquet"),
        (b'{"text": "x"}\n', "wet"),
        (b'{"text": "x"}\n', "delta"),
        (b"WARC/1.0\r\nWARC-Type: x\r\n", "jsonl"),
    ],
)
def test_a_wrong_format_is_an_error(read: Reader, tmp_path: Path, content: bytes, format_name: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="WRONG_FORMAT"):
        read(tmp_path, format_name)


def test_a_missing_column_or_table_is_an_error(read: Reader, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", {"body": "x", "id": "a"})
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*it has: body, id"):
        read(path)
    with pytest.raises(InputError, match=r"MISSING_COLUMN.*Did you mean 'body'"):
        read(path, text_column="bodi")
    with pytest.raises(InputError, match="INPUT_NOT_FOUND"):
        read("no_such_table", "delta")
    with pytest.raises(InputError, match="INPUT_NOT_FOUND"):
        read("no_such_table", "delta", version=3)
    (tmp_path / "a.wet").write_bytes(packed(wet(1)))
    with pytest.raises(InputError, match="MISSING_COLUMN"):
        read(tmp_path / "a.wet", "wet", id_column="id")


def test_paths_may_be_lists_globs_and_names_with_commas(read: Reader, tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a,b.jsonl", {"text": "1"})
    second = write_lines(tmp_path / "c1.jsonl", {"text": "2"})
    third = write_lines(tmp_path / "c2.jsonl", {"text": "3"})
    assert read(first).count() == 1
    assert read(f"{second}, {third},{second}").count() == 2
    assert read(f"{tmp_path}/c{{1,2}}.jsonl").count() == 2
    assert read(f"{tmp_path}/*.jsonl").count() == 3
    assert read(f"file://{second}").first().path == str(second)


def test_real_tables_go_through(read: Reader, shared_data: Path, tmp_path: Path) -> None:
    counts = {"olmo_c4_samples": 40, "dolma_cc_en_head": 30, "datajuicer_redpajama_refined": 20}
    for name, count in counts.items():
        path = shared_data / "cc_text" / f"{name}.jsonl.gz"
        if not path.exists():
            pytest.skip(f"{path.name} is not there")
        rows = read(path)
        assert codes(rows) == {None: count}
        assert len(good(rows)) == count
        shutil.copy(path, tmp_path)
    assert codes(read(tmp_path)) == {None: 90}


def test_real_pages_go_through(read: Reader, shared_data: Path) -> None:
    path = shared_data / "hplt_cc200" / "pages.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    assert codes(read(path, text_column="wet_text", id_column="id")) == {None: 197, "EMPTY_TEXT": 3}
    assert codes(read(path, text_column="html")) == {None: 200}


def test_real_archives_go_through(read: Reader, shared_data: Path) -> None:
    folder = shared_data / "archives"
    if not folder.is_dir():
        pytest.skip("../shared/data/archives is not there")
    rows = read(f"{folder}/*/*", "warc")
    found = codes(rows)
    assert found[None] == len(good(rows)) == 188
    assert sum(found.values()) == 345
