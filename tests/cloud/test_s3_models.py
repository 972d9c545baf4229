"""Models in a bucket: a real job with two executors, which know of the store what the job's settings say of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_prox import model_store
from spark_prox.warehouse.tables import Warehouse
from tests.cloud.settings import s3_session
from tests.cloud.store import SECRET, Store
from tests.cluster.faults.job import launch
from tests.cluster.standalone import SPARK_HOME
from tests.jobs import run_job
from tests.quick_spark import QUICK_JVM
from tests.spark.runs import write_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

MODEL = "s3a://crawl/models/tiny"
REAL = ("model.engine=transformers", "model.device=cpu", "doc.enabled=false", "chunk.template=prox-chunk")
WORDS = " ".join(f"word{n}" for n in range(20))


@pytest.fixture(scope="module")
def model(store: Store, tiny_llama: Path) -> str:
    for file in tiny_llama.iterdir():
        store.put("crawl", f"models/tiny/{file.name}", file.read_bytes())
    return MODEL


def command(store: Store, executors_cache: Path, source: Path, warehouse: Path, *sets: str) -> Sequence[str]:
    """`refine` with two executors on this host, whose environment names no store."""
    session = s3_session(store)
    session |= {
        "spark.executor.extraClassPath": session["spark.driver.extraClassPath"],
        "spark.executor.extraJavaOptions": QUICK_JVM,
        "spark.executorEnv.SPARK_PROX_CACHE": str(executors_cache),
        "spark.driver.memory": "700m",
        "spark.executor.memory": "512m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
    }
    return [
        *(str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local-cluster[2,1,512]"),
        *(word for name, value in session.items() for word in ("--conf", f"{name}={value}")),
        *("jobs/refine.py", "--warehouse", str(warehouse), "--id-column", "id"),
        *("--input", str(source), "--input-format", "jsonl"),
        *(word for setting in (f"model.path={MODEL}", *REAL, *sets) for word in ("--set", setting)),
    ]


def test_each_host_fetches_a_model_once_with_the_jobs_credentials(
    spark: SparkSession, store: Store, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_PROX_CACHE", str(tmp_path / "driver"))
    source = write_lines(tmp_path / "in.jsonl", [{"id": f"d{n}", "text": f"Home\n{WORDS} {n}"} for n in range(6)])
    words = command(store, tmp_path / "executors", source, tmp_path / "w", "placement.partitions=4")
    before = len(store.asked)
    with launch(words, tmp_path / "first.log") as job:
        assert job.wait(500) == 0, job.output[-3000:]
    fetched = [asked for asked in store.asked[before:] if asked.key.endswith("model.safetensors")]
    assert [asked.what for asked in fetched if asked.status in (200, 206)].count("GET") == 2  # the driver, an executor
    assert all("Hadoop" not in asked.agent for asked in fetched)
    rows = Warehouse(spark, str(tmp_path / "w")).read("programs").collect()
    assert len({row["doc_id"] for row in rows}) == 6
    assert len({row["model_revision"] for row in rows}) == 1
    assert {row["model"] for row in rows} == {MODEL}  # by its name, without the pin
    assert len({row["engine_id"].rsplit("/", 1)[0] for row in rows}) == 2  # both executors loaded it
    assert SECRET not in job.output

    before = len(store.asked)
    words = command(store, tmp_path / "executors", source, tmp_path / "another")
    with launch(words, tmp_path / "second.log") as again:
        assert again.wait(500) == 0, again.output[-3000:]
    assert {asked.what for asked in store.asked[before:] if "models/" in asked.key} == {"LIST"}  # for the pin alone


def test_the_doctor_looks_at_a_model_with_the_settings_of_the_session(
    spark: SparkSession, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPARK_PROX_CACHE", str(tmp_path / "cache"))
    model_store._cache.cache_clear()
    sets = [word for setting in (f"model.path={model}", *REAL) for word in ("--set", setting)]
    assert run_job("doctor", "--warehouse", str(tmp_path / "w"), *sets) == 0
    assert f"ok     chunk model    {model}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("s3a://crawl/models/none", "MODEL_NOT_FOUND"),
        ("s3a://no-such-bucket/models/tiny", "MODEL_NOT_FOUND"),
        ("s3a://refused/models/tiny", "MODEL_GATED"),
    ],
)
def test_a_model_that_cannot_be_fetched_is_one_line_before_anything_is_read(
    spark: SparkSession, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str], path: str, code: str
) -> None:
    source = write_lines(tmp_path / "in.jsonl", [{"id": "d", "text": WORDS}])
    words = ("--input", str(source), "--input-format", "jsonl", "--id-column", "id", "--warehouse", str(tmp_path / "w"))
    sets = [word for setting in (f"model.path={path}", *REAL) for word in ("--set", setting)]
    assert run_job("refine", *words, *sets) == 2
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"[SPARK_PROX.{code}]"), said
    assert path in said
    assert not (tmp_path / "w" / "documents").exists()
