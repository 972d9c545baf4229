"""Two runs started at once on the same tables: one works, the other says who does and leaves."""

from __future__ import annotations

import pytest

from tests.cluster.faults.outcome import violations
from tests.cluster.faults.rounds import Arena, Undisturbed


@pytest.mark.slow
def test_of_two_runs_at_once_one_works_and_one_is_told(arena: Arena, undisturbed: Undisturbed) -> None:
    with arena.run("both", log="both-0") as one, arena.run("both", log="both-1") as other:
        codes = (one.wait(), other.wait())
    assert sorted(codes) == [0, 2], one.output[-2000:] + other.output[-2000:]
    told = one if codes[0] else other
    (line,) = (line for line in told.output.splitlines() if line.startswith("[SPARK_PROX."))
    assert line.startswith("[SPARK_PROX.WAREHOUSE_BUSY]")
    assert not violations(arena.read("both"), undisturbed.outcome, lines=arena.lines)
