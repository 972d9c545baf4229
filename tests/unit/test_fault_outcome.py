"""The laws themselves: each breach is seen, and a good result has none."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.cluster.faults.outcome import Outcome, violations

GOOD = Outcome(
    documents=[("a", "1"), ("b", "2"), ("c", "3")],
    refined=[("a", "x", "KEPT", None), ("b", "y", "EDITED", None)],
    rejects=[("c", "FAILED", None, None), ("a", "DUPLICATE_ID", "in", 7)],
    programs=[("a", 0), ("b", 0), ("c", 0)],
    largest_batch=2,
)


def test_the_same_result_breaks_no_law() -> None:
    assert violations(GOOD, GOOD, lines=4, repeated=2) == []
    assert violations(GOOD, GOOD, lines=4, repeated=4, strikes=2) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"refined": GOOD.refined[:1]}, "4 lines in, 1 refined + 2 rejected"),
        ({"refined": [*GOOD.refined, GOOD.refined[0]]}, "refined holds twice: a"),
        ({"documents": [*GOOD.documents, ("a", "9")]}, "documents holds twice: a"),
        ({"rejects": [*GOOD.rejects, GOOD.rejects[1]]}, "rejects holds twice"),
        ({"programs": [*GOOD.programs, ("a", 0)]}, "programs holds twice"),
        ({"programs": GOOD.programs[1:]}, "programs: missing against an undisturbed run"),
        ({"refined": [GOOD.refined[0], ("c", "z", "KEPT", None)]}, "both refined and rejected: c"),
        ({"documents": GOOD.documents[1:]}, "refined and not in documents: a"),
        ({"refined": [GOOD.refined[0], ("b", "other", "EDITED", None)]}, "refined: not in an undisturbed run"),
        ({"refined": [GOOD.refined[0], ("b", "y", "KEPT", None)]}, "refined: missing against an undisturbed run"),
        ({"leftovers": ("_staging/x",)}, "left over: _staging/x"),
    ],
)
def test_every_breach_is_named(change: dict[str, Any], said: str) -> None:
    found = violations(dataclasses.replace(GOOD, **change), GOOD, lines=4, repeated=0)
    assert any(line.startswith(said) for line in found), found


@pytest.mark.parametrize("repeated", [3, -1])
def test_more_than_a_batch_of_repeated_work_is_a_breach_and_so_is_less_than_none(repeated: int) -> None:
    assert violations(GOOD, GOOD, lines=4, repeated=repeated) == [f"{repeated} requests repeated, a batch is at most 2"]
