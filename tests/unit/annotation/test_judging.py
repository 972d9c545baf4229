"""Answers of annotators: whatever they say ends as a judgement with a status and a code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.annotation.judging import (
    Judgement,
    Status,
    judge_clean,
    judge_programs,
    judge_scores,
    keeps,
    read_score,
)
from spark_prox.programs import refine_text

TEXT = "\n".join(
    [
        "Home | News | Contact",
        "The old bridge",
        "The bridge was opened in 1911 and closed to cars in 1987 (see http://b.example/x?id=7&a=b).",
        "It carries a footpath today, and a tram on Sundays.",
        "Share this page",
        "© 2020 The Bridge Press",
    ]
)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Score: 3", 3),
        ("It teaches well.\nScore: 4", 4),
        ("**Educational score:** 5", 5),
        ("score is 2.", 2),
        ("Total: 3 points", 3),
        ("Score (0-5): 4", 4),
        ("Score: 1\nOn reflection, Score: 2", 2),
        ("I would say 4/5.", 4),
        ("  3.0 ", 3),
        ("3", 3),
        ("Score: 2.5", None),
        ("Score: 7", None),
        ("Score: -1", None),
        ("Score - 3", 3),
        ("no idea", None),
        ("", None),
        ("In 1911 there were 4 bridges and 5 mills", None),
    ],
)
def test_scores_are_read_where_they_are_named_and_never_guessed(answer: str, score: int | None) -> None:
    assert read_score(answer) == score


def test_the_papers_rule_keeps_education_three_or_two_in_a_good_format() -> None:
    kept = {(education, form) for education in range(6) for form in range(6) if keeps(education, form)}
    assert kept == {(e, f) for e in (3, 4, 5) for f in range(6)} | {(2, 4), (2, 5)}


def test_two_scores_give_a_document_program() -> None:
    assert judge_scores({"education": "Score: 2", "format": "Score: 4"}) == Judgement(
        status=Status.OK, program="keep_doc()", education=2, format=4
    )
    assert judge_scores({"education": "Score: 2", "format": "Score: 3"}).program == "drop_doc()"
    unread = judge_scores({"education": "Score: 2", "format": "clean!"})
    assert (unread.status, unread.code, unread.detail) == (Status.REJECTED, "SCORE_UNREADABLE", "format")
    assert (unread.program, unread.education) == (None, 2)


def programs(navigation: str, urls: str = "keep_chunk()", footers: str = "keep_chunk()", limit: float = 0.95):
    return judge_programs(TEXT, {"navigation": navigation, "urls": urls, "footers": footers}, max_removed_share=limit)


def test_three_programs_are_merged_into_one_that_runs() -> None:
    merged = programs(
        "Here is the program:\n```python\nremove_lines(line_start=0, line_end=0)\nremove_lines(4, 4)\n```",
        'normalize(source_str=" (see http://b.example/x?id=7&a=b)", target_str="")',
        "remove_lines(4, 5)",
    )
    assert merged.status is Status.OK
    assert merged.program is not None
    assert merged.program.count("remove_lines") == 2  # 0 to 0 and 4 to 5
    cleaned = refine_text(TEXT, merged.program).text
    assert cleaned == (
        "The old bridge\nThe bridge was opened in 1911 and closed to cars in 1987.\n"
        "It carries a footpath today, and a tram on Sundays."
    )


def test_nothing_to_remove_is_a_label_too() -> None:
    assert programs("keep_chunk()").program == "keep_chunk()"


def test_a_string_in_a_line_that_goes_anyway_is_left_out() -> None:
    merged = programs("keep_chunk()", 'normalize("The Bridge Press", "")', "remove_lines(5, 5)")
    assert merged.program == "remove_lines(line_start=5, line_end=5)"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("", "EMPTY_ANSWER"),
        ("I am sorry, there is no navigation.", "NO_CALL"),
        ("remove_lines(3, 60)", "OUT_OF_RANGE"),
        ("remove_lines(4, 2)", "OUT_OF_RANGE"),
        ("remove_lines(0, 0) remove_lines(first)", "UNREADABLE_ARGUMENTS"),
        ("delete_lines(0, 0)", "UNKNOWN_CALL"),
        ("drop_doc()", "CALL_NOT_ASKED_FOR"),
        ("remove_lines(0, 0)\nremove_lines(4", "TRUNCATED"),
        ('normalize("bridges", "")', "ABSENT"),
        ('normalize("bridge", "tower")', "NOT_A_DELETION"),
        ("remove_lines(0, 5)", "REMOVES_TOO_MUCH"),
    ],
)
def test_a_program_that_is_not_true_of_the_chunk_is_no_label(answer: str, code: str) -> None:
    judged = programs(answer)
    assert (judged.status, judged.code, judged.program) == (Status.REJECTED, code, None)


def test_the_limit_on_what_is_removed_counts_words() -> None:
    assert programs("remove_lines(0, 1)", limit=0.15).code == "REMOVES_TOO_MUCH"
    assert programs("remove_lines(0, 1)", limit=0.25).status is Status.OK


def test_a_cleaned_text_gives_the_program_that_makes_it() -> None:
    cleaned = "\n".join(TEXT.split("\n")[1:4]).replace(" (see http://b.example/x?id=7&a=b)", "")
    for answer in (
        cleaned,
        f"[doc]\n{cleaned}\n[/doc]",
        f"Here it is:\n[doc]\n{cleaned}\n[/doc]\nDone.",
        cleaned + "\n",
    ):
        judged = judge_clean(TEXT, answer, min_confidence=0.98, max_removed_share=0.95)
        assert judged.status is Status.OK
        assert judged.program is not None
        assert refine_text(TEXT, judged.program).text == cleaned


def test_a_text_that_was_reworded_is_thrown_out() -> None:
    judged = judge_clean(
        TEXT, "A bridge from 1911 now has trams and walkers.", min_confidence=0.98, max_removed_share=0.95
    )
    assert (judged.status, judged.code) == (Status.REJECTED, "LOW_CONFIDENCE")
    assert judge_clean(TEXT, " \n", min_confidence=0.98, max_removed_share=0.95).code == "EMPTY_ANSWER"


ANSWERS = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            [
                "remove_lines(",
                "0",
                ",",
                "5)",
                "normalize(",
                '"',
                "'",
                "```",
                "\n",
                "keep_chunk()",
                "[doc]",
                "Score: ",
                "9",
            ]
        ),
        max_size=30,
    ).map("".join),
)


@given(answer=ANSWERS, text=st.one_of(st.just(TEXT), st.text(max_size=200)))
def test_any_answer_gives_a_judgement_and_a_label_only_if_it_runs(answer: str, text: str) -> None:
    judged = [
        judge_scores({"education": answer, "format": answer}),
        judge_programs(text, {"navigation": answer}, max_removed_share=0.95),
        judge_clean(text, answer, min_confidence=0.98, max_removed_share=0.95),
    ]
    for judgement in judged:
        assert (judgement.status is Status.OK) == (judgement.program is not None)
        assert (judgement.status is Status.OK) == (judgement.code is None)
    for judgement in judged[1:]:
        if judgement.program is not None:
            done = refine_text(text, judgement.program, policy="permissive")
            assert done.error_count == 0
