"""Seats of the requests that are being decoded: each holds a lane and a stretch of the cache.

Work goes to the GPU in order, so a seat is free as soon as the last work that uses it is launched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from spark_prox.engines.base import Request
from spark_prox.engines.cuda.cache import KeyValueCache
from spark_prox.engines.cuda.lanes import BURST

__all__ = ["OVERRUN", "Seats", "Sequence"]

OVERRUN = 2 * BURST
"""Tokens that a lane may be computed past its end before the CPU has seen it."""


@dataclass(eq=False)
class Sequence:
    """A request that is being decoded.

    Attributes:
        start, rows: its stretch of the cache.
        launched: tokens whose computation is under way or done.
        written: tokens that the CPU has seen.
    """

    request: Request
    lane: int
    start: int
    rows: int
    launched: int = 1
    written: list[int] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    done: bool = False
    released: bool = False


class Seats:
    """`active` has the sequences by lane."""

    def __init__(self, cache: KeyValueCache, lanes: int) -> None:
        self._cache = cache
        self._free = list(range(lanes))
        self.active: dict[int, Sequence] = {}

    def take(self, request: Request) -> Sequence | None:
        """A seat for a request, in the lowest lane; None where no lane or no stretch is free."""
        if not self._free:
            return None
        rows = len(request.prompt_token_ids) + request.max_new_tokens + OVERRUN
        start = self._cache.take(rows)
        if start is None:
            return None
        self._free.sort()  # few lanes in use are few lanes to compute
        sequence = Sequence(request, self._free.pop(0), start, rows)
        self.active[sequence.lane] = sequence
        return sequence

    def release(self, sequence: Sequence) -> None:
        """Give a seat back; a second time does nothing."""
        if not sequence.released:
            sequence.released = True
            del self.active[sequence.lane]
            self._free.append(sequence.lane)
            self._cache.give(sequence.start, sequence.rows)
