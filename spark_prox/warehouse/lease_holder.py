"""The holder of a lease: what a process writes about itself, and a check if such a process still runs on this machine.

Knows no files of leases.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from spark_prox.config.lease import MAX_EXPIRE_S, MAX_HEARTBEAT_S, LeaseConfig
from spark_prox.terminal import shown

__all__ = ["Holder", "machine", "started_at", "this_process"]


_MAX_TEXT = 4096
_MAX_TIME = 1e11  # seconds: the year 5138
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("token", "job", "host", "machine", "started"), str),
    **dict.fromkeys(("since", "beat", "heartbeat_s", "expire_s"), (int, float)),
    "pid": int,
    "released": bool,
}


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The content of a lease file.

    Attributes:
        token: tells this lease from every other.
        host: for people.
        machine: boot and process namespace in which `pid` means something; "" where the system does not tell.
        started: when the process started, in the system's own count: a process number is used again.
        since, beat: seconds since 1970, by the holder's clock: taken, and last renewed.
        heartbeat_s, expire_s: how often the holder renews, and after how long without that it may be replaced.
        released: the holder is done.
    """

    token: str
    job: str
    host: str
    machine: str
    pid: int
    started: str
    since: float
    beat: float
    heartbeat_s: float
    expire_s: float
    released: bool = False

    def as_bytes(self) -> bytes:
        """JSON, for the lease file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, data: bytes) -> Holder:
        """Read a lease file; raises ValueError unless it is what a job can have written.

        Anybody may have written the file: a number that is none would block this job, or let it wait for years.
        """
        try:
            values = json.loads(data)
        except RecursionError:
            raise ValueError("nested too deep") from None
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError("other keys")
        for name, kind in _KINDS.items():
            value = values[name]
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{name} is no {kind}")
            if isinstance(value, str) and len(value) > _MAX_TEXT:
                raise ValueError(f"{name} is too long")
        holder = cls(**values)
        if not 0 <= holder.since <= _MAX_TIME or not 0 <= holder.beat <= _MAX_TIME or not 0 < holder.pid < 1 << 31:
            raise ValueError("impossible numbers")
        if not 0 < holder.heartbeat_s <= MAX_HEARTBEAT_S or not 0 < holder.expire_s <= MAX_EXPIRE_S:
            raise ValueError("impossible intervals")
        return holder

    def who(self) -> str:
        """For people."""
        since = datetime.fromtimestamp(self.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{shown(self.job, 80)} on {shown(self.host, 80)}, process {self.pid}, since {since}"


def this_process(job: str, settings: LeaseConfig) -> Holder:
    """The content that this process writes into a lease file."""
    now = time.time()
    return Holder(
        token=secrets.token_hex(8),
        job=job,
        host=socket.gethostname(),
        machine=machine(),
        pid=os.getpid(),
        started=started_at(os.getpid()) or "",
        since=now,
        beat=now,
        heartbeat_s=settings.heartbeat_s,
        expire_s=settings.expire_s,
    )


def machine() -> str:
    """Tells in which machine, and which container on it, a process number means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def started_at(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot; None when there is none, or one that only waits for its
    parent to take note of its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat[stat.rindex(")") + 1 :].split()
    return None if state in "ZX" else fields[18]
