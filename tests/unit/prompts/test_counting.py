"""Tokens after an edit, counted by what was lost: the same as those of the refined text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.programs import POLICIES, refine_text
from spark_prox.prompts import counting
from spark_prox.prompts.counting import count_before_and_after
from spark_prox.prompts.text_tokenizer import TextTokenizer
from tests.unit.prompts.test_segment_cache import LAYOUTS, TEXTS, WORDS

LINES = st.lists(st.one_of(TEXTS, st.lists(WORDS, max_size=6).map(" ".join)), min_size=1, max_size=8)
PERMISSIVE = POLICIES["permissive"]


@pytest.fixture(scope="module", params=LAYOUTS)
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    return TextTokenizer(LAYOUTS[request.param]())


def counted(tokenizer: TextTokenizer, texts: Sequence[str], programs: Sequence[str]) -> tuple[list[int], list[int]]:
    done = [refine_text(text, program, policy=PERMISSIVE) for text, program in zip(texts, programs, strict=True)]
    refined = [one.text or "" for one in done]
    found = count_before_and_after(tokenizer, texts, refined, [one.edits for one in done])
    assert found == tuple(
        [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in some] for some in (texts, refined)
    )
    return found


@given(st.lists(st.tuples(LINES, st.lists(st.integers(0, 8), max_size=6)), max_size=3))
def test_the_tokens_of_a_refined_text_are_those_of_the_text_alone(
    tokenizer: TextTokenizer, pages: list[tuple[list[str], list[int]]]
) -> None:
    programs = [
        "\n".join(f"remove_lines({number}, {number})" for number in gone) or "keep_chunk()" for _, gone in pages
    ]
    counted(tokenizer, ["\n".join(lines) for lines, _ in pages], programs)


PAGE = "Home | About\nThe river rose two metres.\nIt fell again on Monday.\n[1]x\nShare this\nThe bridge is open again."


@pytest.mark.parametrize(
    "program",
    [
        "remove_lines(0, 0)",
        "remove_lines(0, 0)\nremove_lines(2, 2)\nremove_lines(4, 4)",
        "remove_lines(1, 2)",
        "remove_lines(5, 5)",
        "remove_lines(0, 2)",
    ],
)
def test_of_a_page_that_lost_little_only_that_is_counted(
    tokenizer: TextTokenizer, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def count(tokenizer: Any, texts: Sequence[str]) -> list[int]:
        asked.extend(texts)
        return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]

    monkeypatch.setattr(counting, "count_tokens", count)
    counted(tokenizer, [PAGE], [program])
    assert tokenizer.words is not None
    if tokenizer.words.ends_with_lines:  # type: ignore[union-attr]
        assert len(asked[1]) < len(PAGE) / 2 + 10


def test_other_edits_and_no_edits(tokenizer: TextTokenizer) -> None:
    programs = ["keep_chunk()", "normalize('rose', 'fell')", "remove_lines(1, 1)\nnormalize('Home | ', '')"]
    before, after = counted(tokenizer, [PAGE] * 3, programs)
    assert after[0] == before[0]
