from __future__ import annotations

import pytest

from spark_prox.spark.failures import fixable_failure

FULL = (
    "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\nCaused by: {}\n\tat x"
)
BROKEN = (
    "An error occurred while calling o1.count.\n: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] "
    "Encountered error while reading file file:/w/documents/part-0.c000.snappy.parquet.  SQLSTATE: KD001\n\tat x"
)


@pytest.mark.parametrize("cause", ["java.io.IOException: No space left on device", "OSError: Disk quota exceeded"])
def test_a_full_disk_is_named(cause: str) -> None:
    found = fixable_failure(FULL.format(cause))
    assert found is not None
    assert found.code == "DISK_FULL"


def test_a_damaged_file_is_named_by_its_path() -> None:
    found = fixable_failure(BROKEN)
    assert found is not None
    assert found.code == "TABLE_FILE_UNREADABLE"
    assert "/w/documents/part-0.c000.snappy.parquet is damaged" in str(found)


def test_an_old_checksum_file_is_named_beside_the_file() -> None:
    cause = "Caused by: org.apache.hadoop.fs.ChecksumException: Checksum error: file:/w/a at 0 exp: 1 got: 2"
    found = fixable_failure(f"{BROKEN}\n{cause}")
    assert found is not None
    assert "/w/documents/.part-0.c000.snappy.parquet.crc" in str(found)


def test_another_failure_is_left_as_it_is() -> None:
    assert fixable_failure("java.lang.NullPointerException") is None
