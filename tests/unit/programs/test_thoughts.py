"""What a reasoning model thinks is no program, in whatever way it marks its thoughts."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_prox.annotation.judging import judge_clean, judge_scores
from spark_prox.programs import Code, Outcome, RemoveLines, ReplaceText, parse_program, refine_text
from spark_prox.programs.thoughts import answer_of
from spark_prox.programs.verdict import decide_document

PAIRS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("< think >", "< /think >"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reasoning_process>", "</reasoning_process>"),
    ("<inner_monologue>", "</inner_monologue>"),
    ('<think budget="512">', "</think>"),
    ("<|thinking|>", "<|/thinking|>"),
    ("<|thinking|>", "</|thinking|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<\uff5cthink\uff5c>", "</\uff5cthink\uff5c>"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("```thinking", "```"),
]
TEXT = "Home | News\nThe river rose two metres.\nShare this page\nBoats may pass again.\n(c) 2020 Example"


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
@pytest.mark.parametrize("dialect", ["prox", "refinex", "ultrax"])
def test_a_call_inside_a_thought_is_not_run(opening: str, closing: str, dialect: str) -> None:
    first = 1 if dialect == "ultrax" else 0
    thought = f"{opening}\nremove_lines({first + 1}, {first + 1})\nNo, this is content.\n{closing}\n"
    answer = f"remove_lines({first}, {first})"
    assert list(parse_program(thought + answer, dialect).program) == [RemoveLines(0, 0)]
    assert list(parse_program(answer + "\n" + thought, dialect).program) == [RemoveLines(0, 0)]
    assert refine_text(TEXT, thought + answer, dialect=dialect).text == TEXT.partition("\n")[2]


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_a_thought_that_is_never_closed_reaches_to_the_end(opening: str, closing: str) -> None:
    refinement = refine_text(TEXT, f"{opening}\nremove_lines(1, 1)\nremove_lines(2, 2)")
    assert (refinement.text, refinement.outcome) == (TEXT, Outcome.FAILED)
    assert [error.code for error in refinement.errors] == [Code.TRUNCATED]


def test_the_reported_program_runs_as_its_model_meant_it(repository: Path) -> None:
    folder = repository.parent / "shared" / "faults" / "F28"
    if not folder.is_dir():
        pytest.skip("../shared/faults is not there: it is not part of the repository")
    text, program = (folder / "text.txt").read_text(), (folder / "program.txt").read_text()
    assert refine_text(text, program).text == text.partition("\n")[2]


def test_only_the_final_channel_is_the_answer() -> None:
    program = (
        "<|channel|>analysis<|message|>remove_lines(1, 1)<|end|><|start|>assistant<|channel|>commentary<|message|>\n"
        "remove_lines(2, 2)<|end|><|start|>assistant<|channel|>final<|message|>remove_lines(0, 0)<|return|>"
    )
    assert list(parse_program(program).program) == [RemoveLines(0, 0)]


@pytest.mark.parametrize("opening", ["<think>", "\u25c1think\u25b7"])
def test_thoughts_may_be_nested(opening: str) -> None:
    closing = opening[0] + "/" + opening[1:]
    calls = [f"remove_lines({line}, {line})" for line in range(5)]
    program = "\n".join([opening, calls[1], opening, calls[2], closing, calls[3], closing, calls[0]])
    assert list(parse_program(program).program) == [RemoveLines(0, 0)]


@pytest.mark.parametrize(
    "thought",
    ["remove_lines(1, 1)\n", "from the text\n", "# a note ", 'normalize("a\n', "x\n\nremove_lines(2, 2) ", ""],
)
@pytest.mark.parametrize("closing", ["</think>", "</thinking>", "<|end_of_thought|>", "[/THINK]"])
def test_a_closing_mark_alone_ends_a_thought_that_began_in_the_prompt(thought: str, closing: str) -> None:
    assert list(parse_program(f"{thought}{closing}\nremove_lines(0, 0)").program) == [RemoveLines(0, 0)]


@pytest.mark.parametrize("mark", ["<think>", "</think>", "a <thinking> b", "\u25c1/think\u25b7"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_mark_inside_a_string_is_text_of_the_page(mark: str, quote: str) -> None:
    program = f"remove_lines(0, 0)\nnormalize({quote}{mark}{quote})"
    assert list(parse_program(program).program) == [RemoveLines(0, 0), ReplaceText(mark, "")]


def test_a_verdict_in_a_thought_is_none() -> None:
    assert decide_document("<think>drop_doc()</think>keep_doc()") == ("keep", Code.KEEP_CALL)
    assert decide_document("<think>\nkeep_doc()?\n</think>\n\ndrop_doc()") == ("drop", Code.DROP_CALL)
    assert decide_document("<think>\ndrop_doc()\n") == ("keep", Code.NO_CALL)


def test_ordinary_words_and_tags_are_no_marks() -> None:
    for program in (
        "I think so.\nremove_lines(0, 0)",
        "<code>\nremove_lines(0, 0)\n</code>",
        "a < think\nremove_lines(0, 0)",
    ):
        assert list(parse_program(program).program) == [RemoveLines(0, 0)]


def test_many_marks_in_unreadable_calls_end_in_no_program() -> None:
    program = "remove_lines(0, 0)\n" + "normalize('</think>\n" * 5_000
    assert parse_program(program).program == ()


def test_an_annotators_thoughts_are_no_answer() -> None:
    assert answer_of("Score: 1</think>Score: 4") == "Score: 4"
    answers = dict.fromkeys(("education", "format"), "<think>maybe Score: 1</think>\nScore: 4")
    assert judge_scores(answers).education == 4
    assert judge_scores({"education": "<think>Score: 1", "format": "Score: 1"}).code == "SCORE_UNREADABLE"
    kept = judge_clean(TEXT, f"<think>Line 1 goes.</think>\n{TEXT}", min_confidence=0.98, max_removed_share=0.9)
    assert kept.program == "keep_chunk()"
