"""A lock between the processes of one host: one of them does what all of them need."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["host_lock"]


@contextmanager
def host_lock(file: Path) -> Iterator[None]:
    """Hold the lock of a file; waits while another process has it, and is free when its holder dies.

    Raises:
        OSError: the file cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
