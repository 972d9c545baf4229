"""Hostile programs and documents: nothing raises, nothing takes more than linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from spark_prox.programs import Outcome, apply_edits, refine_text, restore_text

HOSTILE: dict[str, Callable[[int], str]] = {
    "ranges of a billion lines": lambda n: "remove_lines(0, 1000000000)\n" * (n // 28),
    "a range a line": lambda n: "\n".join(f"remove_lines({i}, {i})" for i in range(n // 22)),
    "ranges all over": lambda n: "\n".join(f"remove_lines({i * 7919 % 4e3:.0f}, {i % 4009})" for i in range(n // 28)),
    "replacements": lambda n: "\n".join(f'normalize("w{i % 10}", "x")' for i in range(n // 20)),
    "a giant target": lambda n: 'normalize("a", "' + "a" * n + '")',
    "quotes that never close": lambda n: 'normalize("\n' * (n // 11),
    "two kinds of quotes": lambda n: "f(\",'\n" * (n // 7),
    "quotes out of step": lambda n: "f(',\"\nf(\",'\n" * (n // 14),
    "three quotes": lambda n: 'f("""\n' * (n // 6),
    "nested calls": lambda n: "f(" * (n // 2),
    "nested brackets": lambda n: "f(" + "[" * n,
    "a number of many digits": lambda n: "remove_lines(" + "9" * n + ", 3)",
    "digits with a letter": lambda n: "remove_lines(start=" + "9" * n + "x, end=3)",
    "blanks in a call": lambda n: "remove_lines(1" + " " * n,
    "newlines in a call": lambda n: "f(" + "\n" * n,
    "calls that never close": lambda n: "f(\n" * (n // 3),
    "arguments": lambda n: "f(" + "1," * (n // 2) + ")",
    "escaped quotes": lambda n: 'f("' + '\\"' * (n // 2),
    "backslashes": lambda n: 'f("' + "\\" * n + '"',
    "quotes inside": lambda n: 'f("' + '" ' * (n // 2),
    "comments": lambda n: "# c\n" * (n // 4),
    "prose": lambda n: "a b c d\n" * (n // 8),
    "fences": lambda n: "`" * n,
    "wrappers": lambda n: "def x(" * (n // 6),
    "bullets": lambda n: "- " * (n // 2),
    "one identifier": lambda n: "a" * n,
    "null characters": lambda n: "\x00" * n,
    "surrogates": lambda n: "\ud800(" * (n // 2),
    "separators": lambda n: ";" * n,
}  # fmt: skip
DOCUMENTS = {
    "a line of two million characters": "word " * 400_000,
    "forty thousand lines": "\n".join(f"line {number} has words" for number in range(40_000)),
    "a's alone": "a" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_takes_linear_time(name: str) -> None:
    text = DOCUMENTS["forty thousand lines"]
    small, large = HOSTILE[name](25_000), HOSTILE[name](200_000)
    for policy in ("default", "compat"):
        quick = min(_seconds(text, small, policy) for _ in range(2))
        slow = _seconds(text, large, policy)
        assert slow < 40 * quick + 1.0, (policy, quick, slow)  # eight times the text; quadratic would be 64 times


@pytest.mark.parametrize("document", DOCUMENTS)
def test_hostile_programs_on_a_large_document_end_soon_with_an_outcome(document: str) -> None:
    text = DOCUMENTS[document]
    for name, program in HOSTILE.items():
        for policy in ("default", "compat", "permissive"):
            assert _seconds(text, program(20_000), policy) < 5.0, (name, policy)


def test_a_hundred_thousand_calls_are_executed() -> None:
    lines = 100_000
    text = "\n".join(f"{number} x" for number in range(lines))
    program = "\n".join(f"remove_lines({number}, {number})" for number in range(0, lines, 2))
    assert refine_text(text, program).reason == "TOO_MANY_CALLS"
    refinement = refine_text(text, program, policy="permissive")
    assert refinement.text == "\n".join(f"{number} x" for number in range(1, lines, 2))
    assert restore_text(refinement.text, refinement.edits) == text


@pytest.mark.parametrize("text", ["", " ", "\n", "\n\n\n", "\u2028", "\x00", "\ud800", "a", "\r\n", "\r\nx\r\n"])
@pytest.mark.parametrize("policy", ["default", "compat", "permissive"])
def test_a_tiny_document_survives_every_call(text: str, policy: str) -> None:
    for dialect in ("prox", "refinex", "ultrax"):
        for program in (
            "remove_lines(start=0, end=0)",
            "remove_lines(1, 1)",
            "remove_lines(all=True)",
            'normalize(source_str="a", target_str="")',
            "remove_str(0, 'a')",
            "replace_str(1, 'a', 'b')",
            "add_line(0, 1, 'x')",
            "add_line(1, 1, 'x')",
            "remove_all()",
            "keep_all()",
        ):
            refinement = refine_text(text, program, policy=policy, dialect=dialect)
            if refinement.text is None:
                assert refinement.outcome is Outcome.DROPPED
            else:
                assert apply_edits(text, refinement.edits) == refinement.text


def _seconds(text: str, program: str, policy: str) -> float:
    started = time.process_time()
    refinement = refine_text(text, program, policy=policy)
    assert isinstance(refinement.outcome, Outcome)
    assert len(refinement.edits) >= 0
    return time.process_time() - started
