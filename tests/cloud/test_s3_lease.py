"""The lease in a bucket: a conditional PUT gives it to one of several contenders, and a look at it is two requests."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse.lease import Lease, acquire
from spark_prox.warehouse.lease_holder import Holder, this_process
from spark_prox.warehouse.lease_store import StoreLeaseFiles
from spark_prox.warehouse.scratch import lease_files
from tests.cloud.store import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = "000000000001.json"
CONTENDERS = 6


def elsewhere(name: str) -> Holder:
    """A job on another machine, of which nobody here can look whether it lives."""
    return dataclasses.replace(this_process(name, LeaseConfig()), host=name, machine=f"boot of {name}")


def test_of_simultaneous_creators_all_but_one_lose(spark: SparkSession, store: Store) -> None:
    before = len(store.asked)
    barrier = threading.Barrier(CONTENDERS)

    def create(number: int) -> bool:
        files = lease_files(spark, "s3a://corpus/race/_lease")
        assert isinstance(files, StoreLeaseFiles)
        barrier.wait(60)
        return files.create(FIRST, f"{number}".encode())

    with ThreadPoolExecutor(CONTENDERS) as pool:
        won = list(pool.map(create, range(CONTENDERS)))
    assert sorted(won) == [False] * (CONTENDERS - 1) + [True]
    # Nobody looked first and wrote then: the store decided, and the content is the winner's.
    answers = Counter(asked.status for asked in store.asked[before:] if asked.what == "PUT if absent")
    assert answers == {200: 1, 412: CONTENDERS}  # the winner asks twice, to know that the store heeds the condition
    assert lease_files(spark, "s3a://corpus/race/_lease").read(FIRST) == f"{won.index(True)}".encode()


def test_of_simultaneous_jobs_one_gets_the_lease_without_waiting(spark: SparkSession, store: Store) -> None:
    barrier = threading.Barrier(CONTENDERS)
    slept: list[float] = []

    def take(number: int) -> Lease | str:
        files = lease_files(spark, "s3a://corpus/jobs/_lease")
        barrier.wait(60)
        try:
            return acquire(files, elsewhere(f"job {number}"), sleep=slept.append)
        except TableError as error:
            return error.code

    with ThreadPoolExecutor(CONTENDERS) as pool:
        results = list(pool.map(take, range(CONTENDERS)))
    leases = [found for found in results if isinstance(found, Lease)]
    assert len(leases) == 1
    assert results.count("WAREHOUSE_BUSY") == CONTENDERS - 1
    assert max(slept) == 0
    leases[0].release()


def test_where_the_store_ignores_the_condition_the_lease_waits(spark: SparkSession, store: Store) -> None:
    store.heeds_conditions = False
    files = lease_files(spark, "s3a://corpus/plain/_lease")
    assert files.create(FIRST, b"mine")
    assert files.settle_s > 1


def test_a_renewal_is_three_requests_and_a_check_two(spark: SparkSession, store: Store) -> None:
    files = lease_files(spark, "s3a://corpus/cheap/_lease")
    lease = acquire(files, this_process("cheap", LeaseConfig()))
    try:
        before = len(store.asked)
        lease.check()
        assert store.counts(before) == {"LIST": 1, "GET": 1}
        before = len(store.asked)
        lease.beat()
        assert store.counts(before) == {"LIST": 1, "GET": 1, "PUT": 1}
        before = len(store.asked)
        lease.check()
        assert store.counts(before) == {"LIST": 1, "GET": 1}
    finally:
        lease.release()


def test_a_lease_that_another_job_took_is_noticed(spark: SparkSession, store: Store) -> None:
    files = lease_files(spark, "s3a://corpus/lost/_lease")
    lease = acquire(files, elsewhere("first"))
    assert lease_files(spark, "s3a://corpus/lost/_lease").create("000000000002.json", elsewhere("second").as_bytes())
    with pytest.raises(TableError, match=r"LEASE_LOST.*second"):
        lease.check()


def test_an_answer_that_was_lost_is_no_lost_lease(
    spark: SparkSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK sends a PUT again whose answer did not come; the store then says that the file is there."""
    files = lease_files(spark, "s3a://corpus/again/_lease")
    assert isinstance(files, StoreLeaseFiles)
    assert files._put_if_absent(FIRST, b"mine")
    assert files.create(FIRST, b"mine")
    assert not files.create(FIRST, b"another's")
