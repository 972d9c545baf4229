"""Configuration of the lease: where its files are, how often its holder renews, when another job may take over."""

from __future__ import annotations

from dataclasses import dataclass

from spark_prox.config.limits import check_least

__all__ = ["MAX_EXPIRE_S", "MAX_HEARTBEAT_S", "LeaseConfig"]

MAX_HEARTBEAT_S = 300.0
"""A job that finds a silent holder waits for one and a half of its heartbeats."""
MAX_EXPIRE_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class LeaseConfig:
    """How jobs that write the same tables keep out of each other's way.

    Attributes:
        path: folder of the lease files, the same for all jobs; None for one beside the tables.
        heartbeat_s: the holder says this often that it lives.
        expire_s: a holder on another machine that said nothing for so long is replaced.
    """

    path: str | None = None
    heartbeat_s: float = 15.0
    expire_s: float = 90.0

    def __post_init__(self) -> None:
        check_least(self, 0.001, "heartbeat_s", most=MAX_HEARTBEAT_S)
        check_least(self, 0.001, "expire_s", most=MAX_EXPIRE_S)
        if not 0 < self.heartbeat_s <= self.expire_s / 2:
            raise ValueError(f"heartbeat_s is {self.heartbeat_s:g}; expected at most half of expire_s")
