from __future__ import annotations

import itertools
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from spark_prox.programs import policy_for, refine_text, remove_lines_program, removed_lines
from spark_prox.report.edit_lines import edit_lines
from spark_prox.terminal import PLAIN, Paint

LOOSE = policy_for("permissive")


def rows(text: str, program: str, **more: object) -> list[str]:
    refinement = refine_text(text, program, policy=LOOSE, dialect=str(more.pop("dialect", "prox")))
    return list(edit_lines(text, refinement.edits, paint=more.pop("paint", PLAIN), **more))  # type: ignore[arg-type]


def test_removed_lines_are_shown_with_a_little_of_what_stays() -> None:
    text = "\n".join(f"line {n}" for n in range(12))
    assert rows(text, "remove_lines(0, 1)\nremove_lines(9, 9)") == [
        "-     0  line 0",
        "-     1  line 1",
        "      2  line 2",
        "      3  line 3",
        "           ... 3 lines that stay",
        "      7  line 7",
        "      8  line 8",
        "-     9  line 9",
        "     10  line 10",
        "     11  line 11",
    ]


def test_a_change_inside_a_line_is_shown_before_and_after_in_colour() -> None:
    text = "one\nbuy this now please\nthree"
    assert rows(text, "normalize('this now ', '')")[1:3] == ["-     1  buy this now please", "+     1  buy please"]
    painted = rows(text, "normalize('this', 'that')", paint=Paint(enabled=True))
    assert "\x1b[7m\x1b[31mthis\x1b[0m\x1b[0m" in painted[1]
    assert "\x1b[7m\x1b[32mthat\x1b[0m\x1b[0m" in painted[2]


def test_a_change_far_behind_in_a_line_is_seen() -> None:
    found = rows("word " * 4_000 + "HERE", "normalize('HERE', 'there')")
    assert "HERE" in found[0]
    assert "there" in found[1]
    assert max(map(len, found)) <= 111


def test_lines_that_were_added_are_shown_where_they_are() -> None:
    found = rows("a\nb", "add_line(1, 1, 'new')", dialect="ultrax")
    assert "+        new" in found


def test_lines_that_stay_for_want_of_margin_say_so() -> None:
    assert list(edit_lines("a\nb", (), paint=PLAIN, notes={1: "margin 0.40", 77: "not there"})) == [
        "      0  a",
        "?     1  b  (margin 0.40)",
    ]


def test_nothing_of_a_document_moves_the_cursor() -> None:
    text = "\x1b[2Jhead\n\u202eevil \x9b31m\nkeep\x07\nb\rc this"
    for row in rows(text, "remove_lines(0, 1)\nnormalize('this', '\x1b[1m')"):
        assert not any(unicodedata.category(character)[0] == "C" for character in row)


def test_a_large_document_takes_no_time() -> None:
    text = "x\n" * 300_000
    found = edit_lines(text, refine_text(text, "remove_lines(5, 5)", policy=LOOSE).edits, paint=PLAIN)
    assert len(list(itertools.islice(found, 100))) < 10


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["", "x", "y z"]), min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_removed_lines_are_those_that_the_program_named(lines: list[str], gone: set[int]) -> None:
    chosen = sorted(number for number in gone if number < len(lines))
    text = "\n".join(lines)
    refinement = refine_text(text, remove_lines_program(chosen), policy=LOOSE)
    found = removed_lines(text, refinement.edits)
    left = [line for number, line in enumerate(lines) if number not in found]
    assert "\n".join(left) == refinement.text
    if len(chosen) < len(lines) and refinement.edits:
        assert sorted(found) == chosen
