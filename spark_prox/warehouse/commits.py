"""Guard every commit: the lease is still held, and a race that Delta stopped is told as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spark_prox.errors import TableError
from spark_prox.warehouse.java_errors import java_name
from spark_prox.warehouse.lease import Lease

__all__ = ["under_lease"]

_CONFLICTS = {
    "ConcurrentAppendException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentDeleteReadException",
    "ConcurrentWriteException",
    "MetadataChangedException",
    "ProtocolChangedException",
}


@contextmanager
def under_lease(lease: Lease | None, where: str) -> Iterator[None]:
    """Around a write to a table.

    Args:
        lease: that was taken; None for a job that took none.
        where: the table, for the message.

    Raises:
        TableError: LEASE_LOST; WAREHOUSE_CONFLICT if somebody else wrote at the same time.
    """
    if lease is not None:
        lease.check()
    try:
        yield
    except Exception as error:
        if (conflict := java_name(error)) in _CONFLICTS:
            raise TableError(
                "WAREHOUSE_CONFLICT",
                f"Another job changed {where!r} at the same time ({conflict}).",
                "Nothing was written twice. Run again.",
            ) from error
        if lease is not None and not lease.held:
            lease.check()  # the jobs were cancelled because of that
        raise
