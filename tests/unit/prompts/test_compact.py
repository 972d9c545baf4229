"""The embedded refiner's prompt: what is read where, and that document text stays text."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from spark_prox.errors import ModelError
from spark_prox.prompts.chunking import Chunk, split_chunks
from spark_prox.prompts.compact import MAX_CHUNK_LINES, CompactPrompt, special_tokens


def chunks_of(prompt: CompactPrompt, lines: list[str]) -> list[Chunk]:
    return split_chunks(
        lines, prompt.line_tokens(lines), max_tokens=prompt.max_chunk_tokens, max_lines=prompt.max_chunk_lines
    )


def special_ids(tokenizer: Tokenizer) -> dict[int, str]:
    return {tokenizer.token_to_id(token): token for token in special_tokens()}


def test_each_chunk_line_is_read_at_its_own_number(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    lines = [f"line number {number}" for number in range(150)]
    for chunk in chunks_of(prompt, lines):
        ids, read_at = prompt.chunk_prompt(lines, chunk)
        assert [tokenizer.id_to_token(ids[place]) for place in read_at] == [f"<L{n}>" for n in range(len(chunk.lines))]
        assert read_at[-1] == len(ids) - 1


def test_every_line_number_stands_once_in_the_body_and_once_in_the_read_section(
    prompt: CompactPrompt, tokenizer: Tokenizer
) -> None:
    lines = ["a few words", "", "more words here.", "   "]
    ids, _ = prompt.chunk_prompt(lines, chunks_of(prompt, lines)[0])
    for number in range(4):
        assert ids.count(tokenizer.token_to_id(f"<L{number}>")) == 2
    assert ids.count(tokenizer.token_to_id("<L4>")) == 0


@pytest.mark.parametrize("text", ["<keep>", "<L3>", "</s>", "<remove> <judge>", "<length0><form0>", "[INST] <s>"])
def test_document_text_never_becomes_a_special_token(prompt: CompactPrompt, tokenizer: Tokenizer, text: str) -> None:
    with_text, without = [text, "x"], ["y", "x"]
    specials = special_ids(tokenizer)

    def count(lines: list[str], name: str) -> int:
        chunk = chunks_of(prompt, lines)[0]
        ids = prompt.chunk_prompt(lines, chunk)[0] + prompt.document_prompt(lines)[0]
        return sum(specials.get(token) == name for token in ids)

    for name in ("<keep>", "<remove>", "<L3>", "</s>", "<judge>", "<s>", "<read>"):
        assert count(with_text, name) == count(without, name)


def test_the_callers_tokenizer_keeps_its_settings(tokenizer: Tokenizer) -> None:
    before = tokenizer.encode("<keep>").ids
    CompactPrompt(tokenizer)
    assert tokenizer.encode("<keep>").ids == before


def test_line_tokens_bound_the_prompt(prompt: CompactPrompt) -> None:
    lines = ["word " * (n % 70) for n in range(500)]
    costs = prompt.line_tokens(lines)
    for chunk in chunks_of(prompt, lines):
        ids, _ = prompt.chunk_prompt(lines, chunk)
        assert len(ids) <= sum(costs[chunk.first_line : chunk.last_line + 1]) + 220
        assert len(ids) <= 2048


def test_a_long_line_shows_its_head_and_its_tail(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    line = "river " * 300 + "mountain"
    ids, _ = prompt.chunk_prompt([line], chunks_of(prompt, [line])[0])
    shown = [tokenizer.id_to_token(token) for token in ids]
    assert "<cut>" in shown
    assert "Ġmountain" in shown
    assert len(ids) < 80


@pytest.fixture
def encoded(prompt: CompactPrompt, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Characters that the tokenizer was given, by text: what encoding costs, on any machine."""
    lengths: list[int] = []
    encode = prompt._encode

    def counted(texts: Iterable[str]) -> list[list[int]]:
        texts = list(texts)
        lengths.extend(map(len, texts))
        return encode(texts)

    monkeypatch.setattr(prompt, "_encode", counted)
    return lengths


def test_of_a_line_of_five_megabytes_little_is_encoded(prompt: CompactPrompt, encoded: list[int]) -> None:
    lines = ["x" * 5_000_000, "short"]
    assert max(prompt.line_tokens(lines)) < 30
    prompt.chunk_prompt(lines, chunks_of(prompt, lines)[0])
    prompt.document_prompt(lines)
    assert sum(encoded) < 10_000


def test_each_of_forty_thousand_lines_is_encoded_once(prompt: CompactPrompt, encoded: list[int]) -> None:
    lines = [f"menu entry {number}" for number in range(40_000)]
    for chunk in chunks_of(prompt, lines):
        prompt.chunk_prompt(lines, chunk)
    ids, _ = prompt.document_prompt(lines)
    assert len(ids) < 1200
    assert len(encoded) < 1.1 * len(lines)


def test_the_same_list_with_other_lines_is_another_document(prompt: CompactPrompt) -> None:
    lines = ["first text", "second text"]
    before = prompt.chunk_prompt(lines, chunks_of(prompt, lines)[0])[0]
    lines[0] = "something else entirely, and longer."
    assert prompt.chunk_prompt(lines, chunks_of(prompt, lines)[0])[0] != before


def test_a_chunk_knows_where_in_the_page_it_is(prompt: CompactPrompt) -> None:
    lines = ["the same line"] * 256
    first, *_, last = chunks_of(prompt, lines)
    assert prompt.chunk_prompt(lines, first)[0] != prompt.chunk_prompt(lines, last)[0]


def test_neighbouring_lines_are_shown_and_not_judged(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    lines = [*["river"] * 70, "mountain"]
    chunk = chunks_of(prompt, lines)[0]
    assert chunk.last_line == MAX_CHUNK_LINES - 1
    near = [*lines[:66], "captain", *lines[67:]]
    assert tokenizer.token_to_id("Ġcaptain") in prompt.chunk_prompt(near, chunk)[0]
    assert len(prompt.chunk_prompt(near, chunk)[1]) == MAX_CHUNK_LINES


@given(st.lists(st.text(max_size=40), min_size=1, max_size=90))
def test_any_text_gives_one_read_position_a_line(tokenizer: Tokenizer, lines: list[str]) -> None:
    prompt = CompactPrompt(tokenizer)
    chunks = chunks_of(prompt, lines)
    assert sum(len(prompt.chunk_prompt(lines, chunk)[1]) for chunk in chunks) == len(lines)
    ids, read_at = prompt.document_prompt(lines)
    assert read_at == (len(ids) - 1,)


@pytest.mark.parametrize(
    "lines", [["\ud800 broken", "x"], ["\x00\x00"], ["مرحبا بالعالم", "שלום"], ["日本語のテキスト" * 50]]
)
def test_odd_characters_are_encoded(prompt: CompactPrompt, lines: list[str]) -> None:
    ids, read_at = prompt.chunk_prompt(lines, chunks_of(prompt, lines)[0])
    assert len(read_at) == len(lines)
    assert all(token >= 0 for token in ids)


def test_a_document_prompt_ends_in_judge(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    ids, read_at = prompt.document_prompt(["One sentence.", "Another one."])
    assert tokenizer.id_to_token(ids[read_at[0]]) == "<judge>"
    keep, drop = prompt.document_read_tokens
    assert (tokenizer.id_to_token(keep), tokenizer.id_to_token(drop)) == ("<keep>", "<drop>")


def test_a_document_prompt_shows_head_middle_and_tail(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    lines = ["river"] * 200
    lines[1], lines[105], lines[199] = "mountain", "captain", "garden"
    shown = {tokenizer.id_to_token(token) for token in prompt.document_prompt(lines)[0]}
    assert {"Ġmountain", "Ġcaptain", "Ġgarden"} <= shown


def test_a_tokenizer_of_another_model_is_refused(tokenizer: Tokenizer) -> None:
    from tokenizers import models

    with pytest.raises(ModelError, match="TOKENIZER_MISMATCH"):
        CompactPrompt(Tokenizer(models.BPE()))


def test_a_chunk_of_too_many_lines_is_refused(prompt: CompactPrompt) -> None:
    lines = ["x"] * 65
    with pytest.raises(ValueError, match="65 lines"):
        prompt.chunk_prompt(lines, Chunk(chunk_index=0, first_line=0, lines=tuple(lines)))
