from __future__ import annotations

import dataclasses

import pytest

from spark_prox.config.guard import BatchCounts, GuardConfig, verdict
from spark_prox.config.run import load_config
from spark_prox.errors import ConfigError, GuardError

GOOD = BatchCounts(documents=1000, judged=1000, kept=400, tried=1000, failed=3, chars_before=10_000, chars_after=8_000)
NONE = BatchCounts()
LIMITS = GuardConfig()


def judge(window: BatchCounts, history: BatchCounts = NONE, limits: GuardConfig = LIMITS) -> GuardError | None:
    return verdict("execute", "run-7", window, history, limits)


def change(**values: int) -> BatchCounts:
    return dataclasses.replace(GOOD, **values)


def test_an_ordinary_run_goes_on() -> None:
    assert judge(GOOD) is None
    assert judge(GOOD, history=GOOD) is None


@pytest.mark.parametrize(
    ("window", "code", "figure", "key"),
    [
        (change(kept=49), "GUARD_KEEP_RATE", "4.9%", "guard.min_keep_rate"),
        (change(failed=201), "GUARD_FAILURE_RATIO", "20.1%", "guard.max_failure_ratio"),
        (change(chars_after=1_999), "GUARD_REMOVED_SHARE", "80.0%", "guard.max_removed_share"),
    ],
)
def test_a_figure_beyond_its_limit_is_named_with_the_limit_the_run_and_the_setting(
    window: BatchCounts, code: str, figure: str, key: str
) -> None:
    error = judge(window)
    assert error is not None
    assert error.code == code
    for part in (figure, "run-7", "1,000 documents", f"--set {key}="):
        assert part in str(error)


@pytest.mark.parametrize("window", [change(kept=50), change(failed=200), change(chars_after=2_000)])
def test_a_figure_at_its_limit_is_allowed(window: BatchCounts) -> None:
    assert judge(window) is None


def test_few_documents_are_no_evidence() -> None:
    nothing_kept = BatchCounts(documents=999, judged=999, kept=0)
    assert judge(nothing_kept) is None
    assert judge(nothing_kept + BatchCounts(documents=1, judged=1)) is not None


def test_what_a_stage_does_not_know_is_not_judged() -> None:
    chunks = BatchCounts(documents=5000, tried=9000, failed=10)
    assert (chunks.keep_rate, chunks.removed_share) == (None, None)
    assert judge(chunks) is None


@pytest.mark.parametrize(
    ("window", "code"),
    [
        (change(kept=149), "GUARD_KEEP_RATE"),
        (change(chars_after=5_400), "GUARD_REMOVED_SHARE"),
    ],
)
def test_a_run_much_worse_than_earlier_ones_stops_within_the_limits(window: BatchCounts, code: str) -> None:
    error = judge(window, history=GOOD)
    assert error is not None
    assert error.code == code
    assert "earlier runs" in str(error)
    assert judge(window) is None
    assert judge(window, history=GOOD, limits=GuardConfig(history=False)) is None
    assert judge(window, history=GOOD, limits=GuardConfig(history_tolerance=0.5)) is None


def test_a_run_better_than_earlier_ones_goes_on() -> None:
    assert judge(change(kept=1000, failed=0, chars_after=10_000), history=GOOD) is None


def test_a_short_history_is_none() -> None:
    assert judge(change(kept=100), history=dataclasses.replace(GOOD, documents=999)) is None


def test_switched_off_it_says_nothing() -> None:
    assert judge(change(kept=0, failed=1000), limits=GuardConfig(enabled=False)) is None


def test_counts_survive_the_table_of_runs() -> None:
    assert BatchCounts.of({**GOOD.figures(), "of_a_later_version": 1.0}) == GOOD
    assert BatchCounts.of({}) == BatchCounts()


@pytest.mark.parametrize(
    "setting", ["guard.min_keep_rate=1.5", "guard.min_documents=0", "lease.heartbeat_s=60", "guard.nonsense=1"]
)
def test_settings_that_make_no_sense_are_errors(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"CONFIG_(BAD_VALUE|UNKNOWN_KEY).*(guard|lease)"):
        load_config(None, [setting])
