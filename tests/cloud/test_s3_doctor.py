"""The doctor on a bucket: what works is said line by line, and what does not by its part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from spark_prox.warehouse.store_check import check_store
from tests.cloud.store import SECRET, Store
from tests.jobs import run_job

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_store_that_can_hold_a_warehouse_passes_every_check(spark: SparkSession, store: Store) -> None:
    found = {finding.what: finding for finding in check_store(spark, "s3a://corpus/doctor")}
    assert list(found) == ["store: put", "store: lease", "store: list", "store: reader", "store: delete"]
    assert all(finding.ok for finding in found.values()), found
    assert not [key for key in store.keys("corpus", "doctor/") if not key.endswith("/")]
    kinds = {asked.what for asked in store.asked if asked.key.startswith("doctor/_probe-")}
    assert {"PUT", "PUT if absent", "LIST", "GET"} <= kinds


def test_a_store_without_conditions_is_told_and_is_no_fault(spark: SparkSession, store: Store) -> None:
    store.heeds_conditions = False
    found = {finding.what: finding for finding in check_store(spark, "s3a://corpus/doctor")}
    assert found["store: lease"].ok is None
    assert "three seconds" in found["store: lease"].found
    assert found["store: delete"].ok


@pytest.mark.parametrize(
    ("location", "what", "word"),
    [
        ("s3a://refused/w", "store: credentials", "keys are wrong"),
        ("s3a://public/w", "store: credentials", "keys are wrong, or"),  # asked without keys: it can only be read
        ("s3a://no-such-bucket/w", "store: bucket", "no such bucket"),
        ("s3a://nowhere/w", "store: endpoint", "nothing answers"),
    ],
)
def test_the_part_that_is_wrong_is_named(
    spark: SparkSession, store: Store, location: str, what: str, word: str
) -> None:
    findings = list(check_store(spark, location))
    assert [finding.ok for finding in findings] == [False]
    assert findings[0].what == what
    assert word in findings[0].found
    assert findings[0].fix


def test_executors_that_cannot_read_are_found(spark: SparkSession, store: Store) -> None:
    store.refused_agent = "aws-sdk-cpp"
    findings = list(check_store(spark, "s3a://corpus/doctor"))
    reader = next(finding for finding in findings if finding.what == "store: reader")
    assert reader.ok is False
    assert "ACCESS_DENIED" in reader.found
    assert SECRET not in str(findings)


def test_the_job_says_which_part_of_the_store_is_wrong(
    spark: SparkSession, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_job("doctor", "--warehouse", "s3a://no-such-bucket/w") == 2
    said = capfd.readouterr()
    assert "WRONG  store: bucket" in said.out
    assert "Not ready: store: bucket" in said.err
    assert run_job("doctor", "--warehouse", "s3a://corpus/doctor") == 0
    assert "ok     store: lease" in capfd.readouterr().out
