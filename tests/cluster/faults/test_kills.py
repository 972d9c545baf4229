"""Processes killed with SIGKILL while a real run generates: nothing is lost, doubled, changed or done twice for long.

`make soak` does the same at random moments, for as long as one likes.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.cluster.faults.job import Job
from tests.cluster.faults.rounds import Arena, Strike, Undisturbed


def after(share: float, arena: Arena, wanted: Undisturbed) -> Callable[[Job], bool]:
    """When this share of all requests has been answered."""
    assert arena.served is not None
    served, start = arena.served, arena.served.asked
    return lambda job: served.asked - start >= share * wanted.asked


@pytest.mark.slow
def test_a_driver_that_is_killed_costs_at_most_one_batch(arena: Arena, undisturbed: Undisturbed) -> None:
    strike = Strike(kind="driver", moment=after(0.7, arena, undisturbed))
    done = arena.round([strike], random.Random(1), undisturbed, name="driver")
    assert done.struck == ("driver",)
    assert done.exit_codes == (-9, 0)
    assert not done.violations


@pytest.mark.slow
def test_a_run_survives_what_else_is_killed_and_mends_the_rest_itself(arena: Arena, undisturbed: Undisturbed) -> None:
    strikes = [
        Strike(kind=kind, moment=after(share, arena, undisturbed))
        for kind, share in (("python worker", 0.2), ("executor", 0.45), ("worker daemon", 0.7))
    ]
    done = arena.round(strikes, random.Random(1), undisturbed, name="others", always_again=False)
    assert done.struck == ("python worker", "executor", "worker daemon")
    assert done.exit_codes == (0,)
    assert not done.violations
