"""Configuration of progress: how often a run says what it does, and to whom besides the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from spark_prox.config.limits import check_least

__all__ = ["ProgressConfig"]


@dataclass(frozen=True, kw_only=True)
class ProgressConfig:
    """How a run tells what it does while it runs.

    Attributes:
        log_every_s: seconds between two lines where standard error is no terminal.
        store_every_s: least seconds between two updates of a running stage's row in `runs`.
        push_gateway: URL of a Prometheus push gateway, for example http://gateway:9091; None for none.
        push_every_s: seconds between two pushes.
        push_job: the label `job` of what is pushed.
    """

    log_every_s: float = 60.0
    store_every_s: float = 60.0
    push_gateway: str | None = None
    push_every_s: float = 15.0
    push_job: str = "spark_prox"

    def __post_init__(self) -> None:
        check_least(self, 0.05, "log_every_s", "push_every_s")
        check_least(self, 0, "store_every_s")
        if self.push_gateway is not None:
            _check_url(self.push_gateway)
        if not self.push_job:
            raise ValueError("push_job is empty; expected a name")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        found = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        found = False
    if not found:
        raise ValueError(f"push_gateway is {url[:80]!r}; expected a URL such as http://gateway:9091")
