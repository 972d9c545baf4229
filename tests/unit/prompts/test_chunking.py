from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_prox.prompts.chunking import split_chunks

LINES = st.lists(st.tuples(st.text(alphabet="ab c", max_size=6), st.integers(0, 12)), max_size=60)


@given(LINES, st.integers(1, 15), st.integers(0, 5))
def test_chunks_put_together_are_the_document(rows: list[tuple[str, int]], budget: int, most: int) -> None:
    lines, tokens = [row[0] for row in rows], [row[1] for row in rows]
    chunks = split_chunks(lines, tokens, max_tokens=budget, max_lines=most)
    assert [line for chunk in chunks for line in chunk.lines] == lines
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    expected = 0
    for chunk in chunks:
        assert chunk.first_line == expected
        expected = chunk.last_line + 1


@given(LINES, st.integers(1, 15), st.integers(0, 5))
def test_no_chunk_exceeds_its_budget_but_a_flagged_single_line(
    rows: list[tuple[str, int]], budget: int, most: int
) -> None:
    lines, tokens = [row[0] for row in rows], [row[1] for row in rows]
    for chunk in split_chunks(lines, tokens, max_tokens=budget, max_lines=most):
        used = sum(tokens[chunk.first_line : chunk.last_line + 1])
        assert chunk.too_long == (used > budget)
        assert not chunk.too_long or len(chunk.lines) == 1
        assert not most or len(chunk.lines) <= most


def test_packing_is_greedy() -> None:
    chunks = split_chunks(["a", "b", "c", "d"], [3, 3, 3, 1], max_tokens=7)
    assert [chunk.lines for chunk in chunks] == [("a", "b"), ("c", "d")]


def test_a_line_over_the_budget_stands_alone_and_is_flagged() -> None:
    chunks = split_chunks(["a", "long", "b"], [1, 9, 1], max_tokens=5)
    assert [(chunk.lines, chunk.too_long) for chunk in chunks] == [
        (("a",), False),
        (("long",), True),
        (("b",), False),
    ]


def test_counts_must_match_lines() -> None:
    with pytest.raises(ValueError, match="2 lines but 1"):
        split_chunks(["a", "b"], [1], max_tokens=5)


@given(LINES, st.integers(1, 15), st.integers(0, 5), st.integers(1, 4))
def test_what_is_behind_the_last_chunk_that_may_be_made_is_left_over(
    rows: list[tuple[str, int]], budget: int, most: int, max_chunks: int
) -> None:
    lines, tokens = [row[0] for row in rows], [row[1] for row in rows]
    whole = list(split_chunks(lines, tokens, max_tokens=budget, max_lines=most))
    chunks = list(split_chunks(lines, tokens, max_tokens=budget, max_lines=most, max_chunks=max_chunks))
    assert [line for chunk in chunks for line in chunk.lines] == lines
    assert chunks[:max_chunks] == whole[:max_chunks]
    assert [chunk.left_over for chunk in chunks[max_chunks:]] == [True][: max(0, len(whole) - max_chunks)]
    assert not any(chunk.left_over for chunk in chunks[:max_chunks])


def test_lines_behind_the_limit_are_not_even_counted() -> None:
    counted = []

    def tokens() -> Iterator[int]:
        for number in range(2_000_000):
            counted.append(number)
            yield 1

    chunks = split_chunks(["a"] * 2_000_000, tokens(), max_tokens=10, max_chunks=5)
    assert len(chunks) == 6
    assert len(counted) == 51
    assert chunks[5].last_line == 1_999_999
