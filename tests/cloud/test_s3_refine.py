"""Whole runs on S3: input, warehouse, checkpoints and lease in buckets, under one configuration for both readers."""

from __future__ import annotations

import io
import json
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox.warehouse.tables import Warehouse
from tests.cloud.store import KEY, SECRET, Store
from tests.spark.runs import run_job, scripted, write_lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The requests of a run over 46 pages, by kind, and a few more than were counted. Each costs as much as a document.
MOST_REQUESTS = 10_000


def page(name: str) -> str:
    words = " ".join(f"word{n}" for n in range(20))
    return f"Home | About {name}\n{words} {name}\n{words}"


def refine(model: Path, source: str, kind: str, warehouse: str, *more: str) -> int:
    settings = [word for setting in scripted(model) for word in ("--set", setting)]
    where = ("--input", source, "--input-format", kind, "--warehouse", warehouse)
    return run_job("refine", *where, *settings, *more)


def put_lines(store: Store, tmp_path: Path, bucket: str, key: str, *names: str) -> None:
    lines = write_lines(tmp_path / "lines", [{"id": name, "text": page(name)} for name in names])
    store.put(bucket, key, lines.read_bytes())


def documents(spark: SparkSession, warehouse: str) -> dict[str, str | None]:
    """The refined texts; looks first whether every document is in one place."""
    tables = Warehouse(spark, warehouse)
    texts = {row["doc_id"]: row["text"] for row in tables.read("refined").collect()}
    held = tables.read("rejects").where("stage <> 'ingest'").count()
    assert len(texts) + held == tables.read("documents").count()
    return texts


@dataclass(frozen=True)
class Whole:
    """A run over the example pages, what it asked of the store, and what it said."""

    warehouse: str
    counts: Counter[str]
    said: str
    texts: dict[str, str | None]


@pytest.fixture(scope="module")
def whole(spark: SparkSession, store: Store, repository: Path, tiny_llama: Path) -> Whole:
    """A secret among the settings of its configuration file, too."""
    store.put("crawl", "wet/pages.warc.wet.gz", (repository / "examples" / "pages.warc.wet.gz").read_bytes())
    before = len(store.asked)
    said = io.StringIO()
    secret = ("--set", "spark={spark.hadoop.fs.s3a.bucket.other.secret.key: do-not-tell}")
    with redirect_stdout(said), redirect_stderr(said):
        assert refine(tiny_llama, "s3a://crawl/wet/", "wet", "s3a://corpus/whole", *secret) == 0
    counts = store.counts(before)
    return Whole("s3a://corpus/whole", counts, said.getvalue(), documents(spark, "s3a://corpus/whole"))


def test_a_whole_run_lies_in_buckets(whole: Whole, store: Store) -> None:
    assert len(whole.texts) == 46
    folders = {key.split("/")[1] for key in store.keys("corpus", "whole/")}
    assert {"documents", "programs", "refined", "rejects", "runs", "_lease"} <= folders
    assert not [key for key in store.keys("corpus", "whole/_staging/") if not key.endswith("/")]


def test_a_run_costs_few_requests(whole: Whole) -> None:
    """Each is paid for, and takes a store a tenth of a second; Delta's share grows with stages, not with documents."""
    assert sum(whole.counts.values()) <= MOST_REQUESTS, whole.counts


def test_nothing_that_a_run_says_or_stores_has_a_secret(whole: Whole, spark: SparkSession) -> None:
    rows = Warehouse(spark, whole.warehouse).read("runs").collect()
    assert not [secret for secret in (KEY, SECRET, "do-not-tell") if secret in f"{whole.said} {rows}"]
    assert json.loads(rows[0]["config"])["spark"] == {"spark.hadoop.fs.s3a.bucket.other.secret.key": "(hidden)"}


def test_keys_with_odd_characters_are_read_by_both_readers(
    spark: SparkSession, store: Store, tiny_llama: Path, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    put_lines(store, tmp_path, "crawl", "odd/a%20b/one%2Btwo%20%C3%A9.jsonl", "lines")  # "a b/one+two é.jsonl"
    assert refine(tiny_llama, "s3a://crawl/odd/", "jsonl", "s3a://corpus/odd", "--id-column", "id") == 0
    pq.write_table(pa.table({"id": ["table"], "text": [page("table")]}), tmp_path / "t")
    store.put("crawl", "odd-tables/x%20y%25z.parquet", (tmp_path / "t").read_bytes())  # "x y%z.parquet"
    assert refine(tiny_llama, "s3a://crawl/odd-tables/", "parquet", "s3a://corpus/odd", "--id-column", "id") == 0
    assert set(documents(spark, "s3a://corpus/odd")) == {"lines", "table"}


def test_a_public_bucket_is_read_without_keys(
    spark: SparkSession, store: Store, tiny_llama: Path, tmp_path: Path
) -> None:
    """By S3A on the driver and by pyarrow on the executors: the proxy refuses requests that nobody signed elsewhere."""
    put_lines(store, tmp_path, "public", "pages.jsonl", "a", "b")
    before = len(store.asked)
    assert refine(tiny_llama, "s3a://public/pages.jsonl", "jsonl", "s3a://corpus/public", "--id-column", "id") == 0
    assert set(documents(spark, "s3a://corpus/public")) == {"a", "b"}
    agents = [asked.agent for asked in store.asked[before:] if asked.bucket == "public"]
    assert {"Hadoop" in agent for agent in agents} == {True, False}


def test_an_incremental_run_keeps_its_checkpoint_in_a_bucket(
    spark: SparkSession, store: Store, tiny_llama: Path
) -> None:
    source, warehouse = "s3a://crawl/table", "s3a://corpus/incremental"

    def append(*names: str) -> None:
        rows = [(name, page(name)) for name in names]
        spark.createDataFrame(rows, "id string, text string").write.format("delta").mode("append").save(source)

    def follow() -> int:
        return refine(tiny_llama, source, "delta", warehouse, "--id-column", "id", "--incremental")

    append("a", "b")
    assert follow() == 0
    append("c")
    before = len(store.asked)
    assert follow() == 0
    assert set(documents(spark, warehouse)) == {"a", "b", "c"}
    assert [key for key in store.keys("corpus", "incremental/_checkpoints/") if "/commits/" in key]
    runs = Warehouse(spark, warehouse).read("runs").where("stage = 'ingest'").orderBy("started_at").collect()
    assert [row["documents"] for row in runs] == [2, 1]
    assert len(store.asked) > before


def test_a_store_that_throttles_one_request_in_ten_changes_nothing(
    whole: Whole, spark: SparkSession, store: Store, tiny_llama: Path
) -> None:
    store.throttle_every = 10
    before = len(store.asked)
    assert refine(tiny_llama, "s3a://crawl/wet/", "wet", "s3a://corpus/busy") == 0
    assert sum(asked.status == 503 for asked in store.asked[before:]) > 20
    store.throttle_every = 0
    assert documents(spark, "s3a://corpus/busy") == whole.texts


@pytest.mark.parametrize(
    ("source", "warehouse", "code"),
    [
        ("s3a://refused/x.jsonl", "s3a://corpus/never", "INPUT_NOT_FOUND"),
        ("s3a://no-such-bucket/x.jsonl", "s3a://corpus/never", "INPUT_NOT_FOUND"),
        ("s3a://crawl/refusals/x.jsonl", "s3a://refused/w", "WAREHOUSE_UNWRITABLE"),
        ("s3a://crawl/refusals/x.jsonl", "s3a://no-such-bucket/w", "WAREHOUSE_UNWRITABLE"),
    ],
)
def test_wrong_keys_and_a_missing_bucket_are_one_line_each(
    spark: SparkSession,
    store: Store,
    tiny_llama: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    source: str,
    warehouse: str,
    code: str,
) -> None:
    put_lines(store, tmp_path, "crawl", "refusals/x.jsonl", "a")
    before = len(store.asked)
    assert refine(tiny_llama, source, "jsonl", warehouse, "--id-column", "id") == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"[SPARK_PROX.{code}]"), said
    wanted = "keys" if "refused" in source + warehouse else "no such bucket"
    assert wanted in said, said
    assert len(store.asked) - before < 60, "a store that says no is not asked again and again"


def test_a_store_that_refuses_the_executors_stops_the_run_and_rejects_no_file(
    spark: SparkSession, store: Store, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The driver can list, the executors cannot read: no file is broken, and nobody would look into `rejects`."""
    put_lines(store, tmp_path, "crawl", "closed/x.jsonl", "a")
    store.refused_agent = "aws-sdk-cpp"
    assert refine(tiny_llama, "s3a://crawl/closed/", "jsonl", "s3a://corpus/closed", "--id-column", "id") == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("[SPARK_PROX.STORE_UNREADABLE]"), said
    assert "ACCESS_DENIED" in said
    assert SECRET not in said
    assert not [key for key in store.keys("corpus", "closed/rejects/") if key.endswith(".parquet")]
