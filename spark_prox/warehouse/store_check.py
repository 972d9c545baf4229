"""Tries what a run asks of an object store: put, put under a condition, list, read from an executor, delete.

The probe is a folder beside the tables that is deleted again. Says which of jar, credentials, endpoint or bucket is
wrong. Knows S3A's errors through `s3_faults`; other file systems are tried in the same way.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pyspark.sql import SparkSession

from spark_prox.errors import ProxError
from spark_prox.findings import Finding
from spark_prox.sources.object_store import ObjectStores
from spark_prox.sources.s3_faults import s3_fault
from spark_prox.spark.hadoop_settings import object_stores
from spark_prox.warehouse.java_errors import reason_of
from spark_prox.warehouse.lease_store import StoreLeaseFiles, creates_conditionally
from spark_prox.warehouse.marks import hadoop_path

__all__ = ["ReadProbe", "check_store"]

_NAME = "000000000001.json"
_WORDS = b"spark_prox looks whether this store can hold a warehouse\n"


@dataclass(frozen=True, kw_only=True)
class ReadProbe:
    """For `RDD.mapPartitions` over URIs: their bytes, as the executors' own reader sees them."""

    stores: ObjectStores

    def __call__(self, uris: Iterable[str]) -> Iterator[bytes]:
        """The first bytes of each file."""
        for uri in uris:
            with self.stores.open(uri) as file:
                yield bytes(file.read(len(_WORDS)))


def check_store(spark: SparkSession, location: str) -> Iterator[Finding]:
    """Findings of a warehouse's location; the first that is wrong ends them. Code must have been shipped."""
    folder = f"{location.rstrip('/')}/_probe-{uuid.uuid4().hex}"
    try:
        yield _put(spark, folder)
        if finding := _put_conditionally(spark, folder):
            yield finding
        yield _listed(spark, folder)
        yield _read_by_executor(spark, folder)
        yield _deleted(spark, folder)
    except Exception as error:  # noqa: BLE001 - whatever the file system raises is what the user has to see
        yield _wrong(location, error)
    finally:
        with suppress(Exception):
            files, path = hadoop_path(spark, folder)
            files.delete(path, True)


def _put(spark: SparkSession, folder: str) -> Finding:
    files, path = hadoop_path(spark, f"{folder}/probe")
    stream = files.create(path, True)
    stream.write(bytearray(_WORDS))
    stream.close()
    return Finding(what="store: put", ok=True, found=f"{files.getClass().getSimpleName()} writes to {files.getUri()}")


def _put_conditionally(spark: SparkSession, folder: str) -> Finding | None:
    files, path = hadoop_path(spark, folder)
    if not creates_conditionally(files, path):
        return None  # a file system that gives a name to one creator by itself, or one that S3A's condition is off for
    lease = StoreLeaseFiles(folder, path, files, spark._jvm)
    created = lease.create(_NAME, _WORDS)
    heeded = created and lease.settle_s == 0 and not lease.create(_NAME, b"another")
    found = "of two jobs that take the lease at once, the store lets one"
    if heeded:
        return Finding(what="store: lease", ok=True, found=found)
    return Finding(
        what="store: lease",
        ok=None,
        found="the store ignores If-None-Match: a job waits three seconds to see whether it has the lease",
    )


def _listed(spark: SparkSession, folder: str) -> Finding:
    files, path = hadoop_path(spark, folder)
    names = sorted(str(status.getPath().getName()) for status in files.listStatus(path))
    if "probe" not in names:
        return Finding(
            what="store: list",
            ok=False,
            found="a file that was just written is not listed",
            fix="Delta needs a store whose listings are up to date at once.",
        )
    return Finding(what="store: list", ok=True, found=f"{len(names)} files of the probe")


def _read_by_executor(spark: SparkSession, folder: str) -> Finding:
    uri = f"{folder}/probe"
    fix = "Executors read archives, JSON Lines and Parquet footers by themselves: see docs/cluster.md, Object stores."
    try:
        read = spark.sparkContext.parallelize([uri], 1).mapPartitions(ReadProbe(stores=object_stores(spark))).collect()
    except ProxError as error:
        return Finding(what="store: reader", ok=False, found=error.what, fix=error.todo)
    except Exception as error:  # noqa: BLE001 - the class of an executor's exception is lost, the last line is its text
        lines = [line.strip() for line in str(error).splitlines() if "Error" in line and "Traceback" not in line]
        told = next((line for line in lines if line.startswith(("OSError", "PermissionError", "FileNotFound"))), "")
        return Finding(what="store: reader", ok=False, found=(told or reason_of(error))[:300], fix=fix)
    good = read == [_WORDS]
    found = "an executor reads with pyarrow what Spark wrote" if good else "an executor reads something else there"
    return Finding(what="store: reader", ok=good, found=found, fix="" if good else fix)


def _deleted(spark: SparkSession, folder: str) -> Finding:
    files, path = hadoop_path(spark, folder)
    files.delete(path, True)
    return Finding(what="store: delete", ok=True, found="the probe is gone")


def _wrong(location: str, error: Exception) -> Finding:
    fault = s3_fault(str(error))
    if fault is None:
        return Finding(what="store", ok=False, found=f"{location}: {reason_of(error)}", fix="Run with --debug.")
    return Finding(what=f"store: {fault.part}", ok=False, found=f"{location}: {fault.what}", fix=fault.fix)
