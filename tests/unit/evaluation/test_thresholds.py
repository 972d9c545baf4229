"""The choice of margins: keep where unsure, never worse than keeping everything."""

from __future__ import annotations

import pytest

from spark_prox.annotation.labels import LabelledPage
from spark_prox.evaluation.thresholds import best_margin, choose_margins, drop_margin, kept_by_margin, margin_curve
from spark_prox.heuristics.line_rules import RULES, c4_rule, program_of, ten_words

LINES = ["one two three four", "menu", "five six seven"]


def pages(source: str, count: int = 12) -> list[LabelledPage]:
    return [LabelledPage(page_id=str(n), source=source, lines=tuple(LINES), keep=(1.0, 0.0, 1.0)) for n in range(count)]


def test_a_line_goes_only_where_the_model_is_sure_enough() -> None:
    assert kept_by_margin(LINES, [-3.0, -1.0, 2.0], 2.0) == [False, True, True]
    assert kept_by_margin(LINES, [-3.0, -1.0, 0.0], 0.0) == [False, False, True]


def test_short_lines_have_a_margin_of_their_own() -> None:
    lines = ["a line of eight words is long enough here", "menu", "menu"]
    assert kept_by_margin(lines, [-1.0, -1.0, -0.4], 2.0, 0.5) == [True, False, True]


def test_the_margins_chosen_keep_long_lines_and_remove_short_ones() -> None:
    long = tuple(f"{word} line of eight words is long enough here" for word in ("one", "two"))
    page = LabelledPage(page_id="0", source="a", lines=(*long, "menu", "home"), keep=(1.0, 1.0, 0.0, 0.0))
    chosen, curve = choose_margins([page] * 12, [[-2.0, 3.0, -1.0, -1.0]] * 12)
    assert (chosen.word_f1, chosen.chunk_f1) == (1.0, 1.0)
    assert chosen.margin > 2.0
    assert chosen.short_margin is not None
    assert chosen.short_margin <= 1.0
    assert chosen in curve


def test_a_page_that_would_lose_everything_stays() -> None:
    assert kept_by_margin(LINES, [-9.0, -9.0, -9.0], 1.0) == [True, True, True]


def test_the_best_margin_keeps_content_and_removes_menus() -> None:
    curve = margin_curve(pages("a"), [[-1.0, -4.0, -1.0]] * 12)
    assert best_margin(curve).word_f1 == 1.0
    assert 1.0 < best_margin(curve).margin <= 4.0


def test_a_margin_that_harms_one_source_is_not_chosen() -> None:
    mixed = pages("good", 90) + pages("harmed", 12)
    margins = [[2.0, -2.0, 2.0]] * 90 + [[2.0, 2.0, -2.0]] * 12
    curve = margin_curve(mixed, margins)
    assert curve[0].word_f1 > curve[-1].word_f1
    assert curve[0].worse_than_keeping == ("harmed",)
    assert best_margin(curve).margin > 2.0


def test_the_drop_margin_spares_all_but_a_few_of_the_content() -> None:
    margins = [float(n) for n in range(-5, 995)]
    chosen = drop_margin(margins, max_lost=0.002)
    assert sum(margin < 0 and -margin >= chosen for margin in margins) <= 2
    assert drop_margin([1.0, 2.0, 3.0]) == 0.0
    assert drop_margin([]) == 0.0


def test_the_rules_keep_what_their_names_say() -> None:
    lines = ["Home", "This is a whole sentence.", "We say: enable JavaScript in your browser now.", "word " * 10]
    assert RULES["keep everything"](lines) == [True] * 4
    assert c4_rule(lines) == [False, True, False, False]
    assert ten_words(lines) == [False, False, False, True]


@pytest.mark.parametrize("keep", [[True, False, False, True, False], [True, True]])
def test_a_rule_writes_the_program_that_removes_what_it_does_not_keep(keep: list[bool]) -> None:
    program = program_of(keep)
    removed = [number for number, kept in enumerate(keep) if not kept]
    assert ("remove_lines" in program) == bool(removed)
    if removed:
        assert "remove_lines(1, 2)" in program.replace("line_start=", "").replace("line_end=", "")
        assert "remove_lines(4, 4)" in program.replace("line_start=", "").replace("line_end=", "")
