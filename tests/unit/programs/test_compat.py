"""Policy `compat` against a plain implementation of the upstream algorithm.

PROX_COMPAT_PROGRAMS=100000 for the full run.
"""

from __future__ import annotations

import os
import random

import pytest

from bench.reference_executor import reference_refine
from spark_prox.programs import Code, Outcome, apply_edits, refine_document, refine_text, restore_text
from spark_prox.programs.refine import ChunkProgram
from tests.unit.programs.cases import document, mutated, upstream_program

PROGRAMS = int(os.environ.get("PROX_COMPAT_PROGRAMS", "3000"))
TEXT = "\n".join(f"line {number} has a handful of words" for number in range(8))


@pytest.mark.parametrize("malformed", [False, True])
def test_compat_gives_what_upstream_gives(malformed: bool) -> None:
    rng = random.Random(20240917 + malformed)
    for _ in range(PROGRAMS):
        text = document(rng, 30)
        program = upstream_program(rng, text)
        if malformed:
            program = mutated(rng, program)
        if "9" * 9 in program:
            continue  # the reference writes every line number of a range down
        refinement = refine_text(text, program, policy="compat")
        assert refinement.text == reference_refine(text, program), (text, program)
        if refinement.text is not None:
            assert apply_edits(text, refinement.edits) == refinement.text
            assert restore_text(refinement.text, refinement.edits) == text


@pytest.mark.parametrize(
    "program",
    [
        "remove_lines(start=1, end=12",  # reads 1, which is in the document, and one error
        "remove_lines start=1, end=2)\nremove_lines(start=0, end=1)",
        "remove_lines)start=0, end=1(",
        "remove_lines(a=b=1, c=2)",
        "remove_lines(start= 1 , end=\t2\r)",
        "remove_lines(start=+1, end=1_0)",
        "remove_lines(start=\u0663, end=\u0664)",
        "remove_lines(start=-5, end=0)",
        "remove_lines(start=0, end=0)\nremove_lines(start=90, end=91)\nremove_lines(start=92, end=93)",
        "remove_lines(start=0, end=0)\nremove_lines(start=90, end=91)\nremove_lines(start=93, end=94)",
        "remove_lines(start=5, end=2)\nremove_lines(start=6, end=8)",
        "remove_lines(start=0, end=0, all=True)",
        "remove_lines(start=0, end=0) # all=True",
        "remove_linesall=True",
        " remove_lines(start=0, end=0)",
        "keep_chunk()\n remove_lines(start=0, end=0)",
        'normalize(source_str="a", target_str="b", x="c")',
        'normalize(source_str=" ")',
        'normalize(source_str="", target_str="x")',
        'normalize(source_str=""a"", target_str="b")',
        'normalize("line", "row")',
        "normalize(source_str=line, target_str=row)",
        "normalize_everything(x=line)",
        'normalize(source_str="has\\n")',
        'normalize(source_str="line"\nnormalize(source_str="has")',
        "remove_lines(start=" + "9" * 4301 + ", end=3)",
        "",
        "\n\n",
        "garbage",
    ],
)
def test_an_upstream_defect_is_reproduced(program: str) -> None:
    assert refine_text(TEXT, program, policy="compat").text == reference_refine(TEXT, program)


@pytest.mark.parametrize("lines", [30, 500, 3000])
@pytest.mark.parametrize(
    "replacement",
    [
        'normalize(source_str=" ")',
        'normalize(source_str="a", target_str="bb")',
        'normalize(source_str=" ")\nnormalize(source_str="a", target_str="b c")\nnormalize(source_str="g")',
    ],
)
@pytest.mark.parametrize("removal", ["remove_lines(start=0, end=3)", "remove_lines(start=5, end=5)"])
def test_replacements_in_thousands_of_places_survive_a_removed_line(lines: int, replacement: str, removal: str) -> None:
    """Too many to be kept one by one, they were joined, and the joined one was lost with the removed line."""
    text = "\n".join("a b c d e f g" for _ in range(lines))
    program = f"{removal}\n{replacement}\nremove_lines(start=9, end=9)"
    refinement = refine_text(text, program, policy="compat")
    assert refinement.text == reference_refine(text, program)
    assert refinement.text is not None
    assert apply_edits(text, refinement.edits) == refinement.text
    assert restore_text(refinement.text, refinement.edits) == text


def test_an_enormous_range_takes_no_time_and_counts_one_error() -> None:
    refinement = refine_text(TEXT, f"remove_lines(start=2, end={10**12})", policy="compat")
    assert refinement.text == "\n".join(TEXT.split("\n")[:2])
    assert [error.code for error in refinement.errors] == [Code.CLAMPED]


def test_a_text_without_a_word_is_given_back_instead_of_a_division_by_zero() -> None:
    for text in ("", " \n\t"):
        refinement = refine_text(text, "remove_lines(start=0, end=0)", policy="compat")
        assert (refinement.text, refinement.outcome) == (text, Outcome.FAILED)


def test_stored_chunk_programs_run_as_their_concatenation() -> None:
    rng = random.Random(5)
    for _ in range(300):
        text = document(rng, 20)
        programs = [mutated(rng, upstream_program(rng, text)) for _ in range(3)]
        if any("9" * 9 in program for program in programs):
            continue
        chunks = [ChunkProgram(program=program, first_line=0, line_count=1) for program in programs]
        joined = "\n".join(program.strip(" ") for program in programs)
        assert refine_document(text, chunks, policy="compat").text == reference_refine(text, joined)
