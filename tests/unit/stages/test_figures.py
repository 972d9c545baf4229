from __future__ import annotations

import dataclasses

import pytest

from spark_prox.stages.figures import InFlight, StageFigures, figures_line, samples

COUNTS = {"documents": 10, "dropped": 2, "failed": 1, "tokens_before": 5_000, "tokens_after": 4_000}


def test_a_line_has_what_a_person_waits_for() -> None:
    figures = StageFigures(
        stage="generate-doc", documents=1_250, planned=50_000, prompt_tokens=2_400_000, output_tokens=100_000, failed=3
    )
    figures.add_verdicts(1_250, 1_175)
    figures.counted_seconds = 125
    assert figures_line(figures, 130, working=125) == (
        "generate-doc: 1,250 of 50,000 documents (2%), 81 min left, 20.0k tokens/s, 94.0% kept, 3 failed, "
        "2.50M tokens, 2 min"
    )


def test_documents_in_flight_are_an_estimate_and_never_all_of_them() -> None:
    figures = StageFigures(stage="generate-chunk", documents=100, planned=300)
    figures.in_flight = InFlight(portion=2, portions=3, documents=100, read=40, tasks=2)
    assert figures_line(figures, 14, working=14) == (
        "generate-chunk: ~140 of 300 documents (47%), 16 s left, batch 2/3, 14 s"
    )
    figures.in_flight = dataclasses.replace(figures.in_flight, read=100_000)
    assert round(figures.about_documents) == 199
    figures.in_flight = InFlight(documents=100, tasks=8, tasks_done=2)
    assert "~125 of 300" in figures_line(figures, 14, working=14)
    assert "2/8 tasks" in figures_line(figures, 14, working=14)
    assert figures.seconds_left(10) == pytest.approx(14)


def test_while_nothing_is_known_of_a_batch_the_speed_is_that_of_what_is_stored() -> None:
    figures = StageFigures(stage="s", documents=100, planned=300, prompt_tokens=1_000, counted_seconds=10)
    figures.in_flight = InFlight(portion=2, portions=3, documents=100)
    assert figures.seconds_left(10) == pytest.approx(20)
    assert figures.seconds_left(16) == pytest.approx(14)  # the clock goes on
    assert figures.seconds_left(99) == 0
    assert figures.tokens_per_second(16) == pytest.approx(100)


def test_nothing_is_said_that_is_not_known() -> None:
    assert figures_line(StageFigures(stage="ingest"), 3.04) == "ingest: 3.0 s"
    reading = StageFigures(stage="ingest", in_flight=InFlight(what="read and parse", tasks=40, tasks_done=7))
    assert figures_line(reading, 12, working=11) == "ingest: read and parse, 7/40 tasks, 12 s"
    stored = StageFigures(stage="ingest", documents=46, planned=46, rejects=3)
    assert figures_line(stored, 12, working=11) == "ingest: 46 of 46 documents (100%), 3 rejects, 12 s"
    assert "seconds_left" not in samples(reading, 12, working=11)
    assert "keep_rate" not in samples(reading, 12, working=11)


def test_the_last_line_tells_what_was_done() -> None:
    figures = StageFigures(stage="execute", planned=20)
    figures.add_texts(COUNTS)
    assert figures_line(figures, 4, working=2, ended="failed") == (
        "execute: failed in 4.0 s, 10 of 20 documents (50%), 1,250 tokens/s, 80.0% kept, 1 failed, 5,000 tokens"
    )
    figures.add_texts(COUNTS)
    assert figures_line(figures, 4, working=2, ended="done") == (
        "execute: done in 4.0 s, 20 documents, 2,500 tokens/s, 80.0% kept, 2 failed, 10.0k tokens"
    )
    assert (figures.tokens_before, figures.tokens_after) == (10_000, 8_000)
    assert samples(figures, 4)["keep_rate"] == pytest.approx(0.8)


def test_texts_whose_tokens_nobody_counts_have_none() -> None:
    figures = StageFigures(stage="execute")
    figures.add_texts({**COUNTS, "tokens_before": 0, "tokens_after": 0})
    assert figures.tokens_before is None
    assert "tokens" not in figures_line(figures, 1)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [(9_999, "9,999 tokens"), (12_345, "12.3k"), (999_999, "1000k"), (12_345_678, "12.3M"), (3.2e11, "320G")],
)
def test_large_numbers_are_short(tokens: float, said: str) -> None:
    assert said in figures_line(StageFigures(stage="s", prompt_tokens=int(tokens)), 1)


@pytest.mark.parametrize(("seconds", "said"), [(9, "9.0 s"), (89, "89 s"), (600, "10 min"), (9_000, "2 h 30 min")])
def test_times_are_short(seconds: float, said: str) -> None:
    assert figures_line(StageFigures(stage="s"), seconds) == f"s: {said}"
