"""A lease on a warehouse: one job writes it at a time, and a dead job does not block the next one for long.

The lease is a folder of numbered files, of which the highest counts; taking it over creates the next number, which a
file system gives to one of several contenders only. The holder renews its file from a thread. Whoever finds a holder
that ended on this machine takes over at once; a holder elsewhere that stopped renewing is given `expire_s`. A holder
that was paused for longer finds a higher number before its next commit and stops. Knows no tables and no Spark.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from spark_prox.config.lease import LeaseConfig
from spark_prox.errors import TableError
from spark_prox.warehouse.lease_files import LeaseFiles
from spark_prox.warehouse.lease_holder import Holder, started_at, this_process

__all__ = ["Lease", "acquire", "hold"]

_LOG = logging.getLogger(__name__)
_held: dict[str, Lease] = {}
_guard = threading.Lock()


class Lease:
    """A lease that this process holds.

    Args:
        number: of its file.
        on_lost: called once, from the renewing thread, when that finds that another process has taken over.
    """

    def __init__(self, files: LeaseFiles, number: int, holder: Holder, on_lost: Callable[[], object]) -> None:
        self.files = files
        self.number = number
        self.holder = holder
        self._on_lost = on_lost
        self._lost = False
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @property
    def held(self) -> bool:
        """True if it was neither released nor seen lost."""
        return not self._lost and not self._stop.is_set()

    def still_held(self) -> bool:
        """Look whether it is still this process's own."""
        with self._writing:
            self._lost = self._lost or not self._is_mine()
        return self.held

    def check(self) -> None:
        """Look whether the lease is still this process's own; to be called before a commit.

        Raises:
            TableError: LEASE_LOST.
        """
        if not self.still_held() and self._lost:
            number, other = _current(self.files)
            taken = f"by {other.who()}" if other is not None and number != self.number else "or its files were deleted"
            raise TableError(
                "LEASE_LOST",
                f"The lease {self.files.folder!r} was taken over {taken}: this process was paused for longer than "
                f"{self.holder.expire_s:g} s.",
                "Nothing was written since; run again when the other job has ended.",
            )

    def beat(self) -> None:
        """Renew once."""
        with self._writing:
            if not self.held:
                return
            if not self._is_mine():
                self._lost = True
                if _current(self.files)[0] > self.number:  # and not just deleted, with the tables perhaps
                    self._on_lost()
                return
            self.holder = replace(self.holder, beat=time.time())
            self.files.replace(_name(self.number), self.holder.as_bytes())

    def release(self) -> None:
        """Give the lease back; the next job takes it at once."""
        with self._writing:
            if self.held and self._is_mine():
                self.files.replace(_name(self.number), replace(self.holder, released=True).as_bytes())
            self._stop.set()

    def _is_mine(self) -> bool:
        number, holder = _current(self.files)
        return number == self.number and holder is not None and holder.token == self.holder.token

    def _renew(self) -> None:
        while not self._stop.wait(self.holder.heartbeat_s) and self.held:
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001 - a file system that hiccups; the next beat or `check` will tell
                _LOG.warning("the lease %s could not be renewed: %s", self.files.folder, type(error).__name__)


def hold(
    files: LeaseFiles, settings: LeaseConfig, job: str, on_lost: Callable[[], object] = lambda: None
) -> tuple[Lease, bool]:
    """The lease of this process: one for each folder, however many runs it makes, until it ends.

    Returns:
        The lease, and whether it was taken just now.

    Raises:
        TableError: WAREHOUSE_BUSY.
    """
    with _guard:
        lease = _held.get(files.folder)
        if lease is not None and lease.still_held():
            return lease, False
        lease = acquire(files, this_process(job, settings), on_lost)
        if not _held:
            atexit.register(_release_all)
        _held[files.folder] = lease
        return lease, True


def acquire(
    files: LeaseFiles,
    me: Holder,
    on_lost: Callable[[], object] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Take a lease that is free, or whose holder is dead.

    Raises:
        TableError: WAREHOUSE_BUSY, LEASE_UNWRITABLE.
    """
    number, holder = _current(files)
    if holder is not None and _alive(files, number, holder, me, sleep):
        raise _busy(files, holder)
    try:
        created = files.create(_name(number + 1), me.as_bytes())
    except OSError as error:
        raise TableError(
            "LEASE_UNWRITABLE",
            f"The lease {files.folder!r} cannot be written ({type(error).__name__}).",
            "It has to be a folder that this job may write; or set lease.path to another one.",
        ) from None
    if not created:
        raise _busy(files, _current(files)[1])
    sleep(files.settle_s)
    last, winner = _current(files)
    if last != number + 1 or winner is None or winner.token != me.token:
        raise _busy(files, winner)
    for name in files.names():
        if _number(name) <= number:
            files.delete(name)
    return Lease(files, number + 1, me, on_lost)


def _release_all() -> None:
    for lease in _held.values():
        with suppress(Exception):  # the process ends; who comes next finds it dead
            lease.release()


def _current(files: LeaseFiles) -> tuple[int, Holder | None]:
    """The highest number and what its file says; (0, None) in an empty folder.

    A file that stays unreadable says nothing: whoever was writing it is dead, or will find a higher number.
    """
    last = ""
    for attempt in range(10):
        names = files.names()
        if not names:
            return 0, None
        last = max(names, key=_number)
        try:
            return _number(last), Holder.of(files.read(last))
        except Exception:  # noqa: BLE001 - being replaced or deleted at this moment: look again
            time.sleep(0.05 * attempt)
    return _number(last), None


def _alive(files: LeaseFiles, number: int, holder: Holder, me: Holder, sleep: Callable[[float], None]) -> bool:
    """True if a holder has to be respected."""
    if holder.released:
        return False
    if me.machine and holder.machine == me.machine:
        # A file of this very process that it does not hold: a copy of a warehouse, or a lease that it lost.
        return holder.pid != me.pid and started_at(holder.pid) == holder.started
    if abs(time.time() - holder.beat) < holder.expire_s:
        return True
    # The clocks of two machines may differ by more than that: believe in its death only after a missed beat.
    sleep(1.5 * holder.heartbeat_s)
    return _current(files) != (number, holder)


def _busy(files: LeaseFiles, holder: Holder | None) -> TableError:
    return TableError(
        "WAREHOUSE_BUSY",
        f"Another job writes these tables: {holder.who() if holder else 'another process'} (lease {files.folder!r}).",
        "Wait for it or end it. One that died is replaced at once on its own machine, elsewhere after lease.expire_s.",
    )


def _name(number: int) -> str:
    return f"{number:012d}.json"


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))
