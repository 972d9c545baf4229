"""What a page or a program contains never moves the cursor of who reads about it."""

from __future__ import annotations

import argparse
import unicodedata

import pytest

from spark_prox import jobkit
from spark_prox.errors import InputError
from spark_prox.report.run_report import table
from spark_prox.terminal import shown, shown_lines

HOSTILE = [
    "\x1b[2J\x1b[1;1Hgone", "a\rb", "a\x08\x08b", "\x9b31mred", "\u202egnp.exe", "\u200bx\ufeff", "\x1b]0;title\x07",
    "\u2028x", "\ud800", "\U000e0041", "\x7f", "\x00", "\ue000",
]  # fmt: skip


def is_plain(text: str) -> bool:
    return not any(unicodedata.category(character)[0] == "C" for character in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_control_characters_are_escaped_and_nothing_else_is(text: str) -> None:
    assert is_plain(shown(text))
    assert "\\" in shown(text)
    assert shown("naïve 日本語 ok\t|") == "naïve 日本語 ok    |"


def test_a_line_is_clipped_after_it_was_escaped() -> None:
    assert len(shown("x" * 10_000)) == 110
    assert len(shown("\x00" * 100)) == 110
    assert shown("x" * 10_000).endswith("...")


def test_a_program_of_many_lines_is_clipped_and_says_so() -> None:
    lines = shown_lines("\x1b[2J\n" * 1_000_000)
    assert len(lines) == 41
    assert all(map(is_plain, lines))
    assert lines[-1] == "... 999,961 lines more"
    assert shown_lines("a\nb") == ["a", "b"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_no_control_character(text: str) -> None:
    made = table(["code", "n"], [[text, 1], [text * 1_000, 2]])
    assert all(map(is_plain, made.split("\n")))
    assert max(map(len, made.split("\n"))) < 500


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_shows_no_control_character(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (InputError("X", f"no file {text}"), ValueError(text)):

        def job(_: argparse.Namespace, error: Exception = error) -> None:
            raise error

        jobkit.run(argparse.ArgumentParser(), job, [])
        said = capsys.readouterr().err
        assert said.endswith("\n")
        assert is_plain(said[:-1])
