"""The data sources `warc` and `wet` in Spark: only a session plans their tasks, pushes filters down and runs SQL."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.sources.archive_builder import html, packed, record, response, wet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def archives(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WARC with a member that cannot be read, a WET, and a list that names both and one that is not there."""
    from spark_prox.sources.frames.archive_source import register_sources

    register_sources(spark)
    folder = tmp_path_factory.mktemp("archives")
    records = [response(html(f"page {n}"), number=n, status="200 OK" if n % 2 else "404 Not Found") for n in range(6)]
    broken = bytearray(packed([response(html("lost"))]))
    broken[len(broken) // 2] ^= 0xFF
    parts = (packed([*records[:3], record("request", b"GET")]), bytes(broken), packed(records[3:]))
    (folder / "a.warc.gz").write_bytes(b"".join(parts))
    (folder / "b.wet").write_bytes(packed(wet(3), "plain"))
    (folder / "all.paths.gz").write_bytes(gzip.compress(b"a.warc.gz\nb.wet\nmissing.warc\n"))
    return folder


def read(spark: SparkSession, path: Path, **options: object) -> DataFrame:
    reader = spark.read.format("warc").options(**options)  # type: ignore[arg-type]
    return reader.load(str(path))


def test_a_query_gets_its_rows_and_its_conditions_reach_the_reader(spark: SparkSession, archives: Path) -> None:
    rows = read(spark, archives / "a.warc.gz").where(
        "type = 'response' AND http_status IN (200, 204) AND media_type LIKE 'text/%' AND length(text) > 10"
    )
    plan = rows._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    (left,) = re.findall(r"Filter (.*)", plan)
    assert "length(text" in left
    assert not re.search("http_status|media_type|type#", left)
    found = rows.select("target_uri", "text", "error").collect()
    assert [row.text.split("\n")[0] for row in found] == ["page 1", "page 3", "page 5"]
    assert {row.error for row in found} == {None}


def test_damage_and_missing_files_are_rows(spark: SparkSession, archives: Path) -> None:
    rows = read(spark, archives / "all.paths.gz", columns="path,type,error").collect()
    assert len(rows) == 7 + 1 + 4 + 1  # six pages and a request, a broken member, a WET, a file that is not there
    errors = {Path(row.path).name: row.error for row in rows if row.error}
    assert errors == {"a.warc.gz": "ARCHIVE_CORRUPT", "missing.warc": "ARCHIVE_UNREADABLE"}


def test_sql_reads_ranges_of_files_in_tasks_of_their_own(spark: SparkSession, archives: Path) -> None:
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY VIEW texts USING wet OPTIONS (path '{archives}/b.wet', split_bytes 300,"
        " columns 'record_id, text')"
    )
    rows = spark.sql("SELECT record_id, split(text, '\\n')[0] AS line FROM texts WHERE text IS NOT NULL")
    assert rows.rdd.getNumPartitions() > 2
    assert sorted(row.line for row in rows.collect()) == ["Document 1", "Document 2", "Document 3"]


def test_a_schema_chooses_the_columns(spark: SparkSession, archives: Path) -> None:
    schema = "http_headers map<string,string>, payload binary, date timestamp"
    row = spark.read.format("warc").schema(schema).load(str(archives / "a.warc.gz")).first()
    assert row is not None
    assert row.http_headers == {"content-type": "text/html"}
    assert bytes(row.payload) == html("page 0")
    assert row.date.year == 2024


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [("nothing.warc", {}, "INPUT_NOT_FOUND"), ("a.warc.gz", {"colums": "x"}, "UNKNOWN_OPTION")],
)
def test_a_wrong_query_fails_with_a_code(
    spark: SparkSession, archives: Path, path: str, options: dict[str, str], code: str
) -> None:
    with pytest.raises(Exception, match=rf"\[SPARK_PROX\.{code}\]"):
        read(spark, archives / path, **options).collect()


def test_another_extraction_makes_documents_and_their_programs_anew(
    spark: SparkSession, tmp_path: Path, tiny_llama: Path
) -> None:
    from tests.spark import runs

    body = "<nav><a href=/>Home of all pages</a></nav><article><h1>Tide</h1><p>{}</p></article>"
    pages = [body.format("The river rose two metres overnight, said the mayor. " * n) for n in (3, 4)]
    plain = response(b"<p>Only this line of text is on the page, and nothing else", number=9)
    source = tmp_path / "a.warc.gz"
    source.write_bytes(packed([*(response(page.encode(), number=n) for n, page in enumerate(pages)), plain]))
    listed = tmp_path / "warc.paths"
    listed.write_text("a.warc.gz\n")

    def run(extract: str) -> tuple[dict[str, int], dict[str, tuple[str, str]]]:
        settings = runs.scripted(tiny_llama)
        pipe = runs.pipeline(tmp_path / "w", listed, *settings, format="warc", extract=extract)
        runs.refine(pipe)
        rows = pipe.warehouse.read("documents").collect()
        return runs.figures(pipe), {row.doc_id: (row.html_extract, row.text.split("\n")[0]) for row in rows}

    first, documents = run("all")
    assert first["ingest"] == 3
    assert documents["urn:uuid:0001"] == ("all", "Home of all pages")
    second, documents = run("main")
    assert second["ingest"] == 3
    assert second["generate-chunk"] == 2  # the third page's text is the same
    assert documents["urn:uuid:0001"] == ("main", "Tide")
    assert documents["urn:uuid:0009"][0] == "main"


def test_hints_of_lines_are_a_column_when_they_are_asked_for(spark: SparkSession, archives: Path) -> None:
    from spark_prox.config.input import InputSpec
    from spark_prox.sources.frames import read_input
    from udfs.ingest import ReadArchives

    spec = InputSpec(path=f"{archives}/*.w*", format="warc", line_hints=True)
    rows = read_input(spark, spec, archive_reader=ReadArchives(spec=spec)).where("reject_code IS NULL").collect()
    pages = [row for row in rows if row.html_extract]
    assert len(pages) == 3
    assert {tuple(hint.tag for hint in row.line_hints) for row in pages} == {("h1", "p")}
    assert {row.line_hints for row in rows if not row.html_extract} == {None}
