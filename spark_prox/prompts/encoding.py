"""Encode texts a little at a time: the tokenizer's own encodings take a hundred times the memory of their text.

Knows no model and no prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from spark_prox.prompts.segment_cache import SegmentCache
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["CHARS_AT_ONCE", "count_lines", "count_tokens", "encode_all", "encode_whole"]

CHARS_AT_ONCE = 1 << 18
"""A longer text is encoded in parts."""

_CHARS_OF_AN_ENCODING = 16  # what an encoding takes beside its tokens, in characters of text


def encode_all(tokenizer: AnyTokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each text, in order, without special tokens."""
    for some in _some(texts):
        yield from _ids(tokenizer, some)


def count_lines(tokenizer: AnyTokenizer, lines: Iterable[str]) -> Iterator[int]:
    """Tokens of each line with a line end behind it, in order, without special tokens."""
    words = tokenizer.words if isinstance(tokenizer, TextTokenizer) else None
    if not isinstance(words, SegmentCache):
        yield from map(len, encode_all(tokenizer, (f"{line}\n" for line in lines)))
        return
    for some in _some(lines):
        yield from words.line_lengths(some)


def encode_whole(tokenizer: AnyTokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each text, however long; one of more than 256 KiB is encoded in the parts of `count_tokens`."""
    lengths: deque[int] = deque()

    def parts() -> Iterator[str]:
        for text in texts:
            whole = list(_parts(text))
            lengths.append(len(whole))
            yield from whole

    found: list[int] = []
    seen = 0
    for ids in encode_all(tokenizer, parts()):
        found = found + ids if seen else ids
        seen += 1
        if seen == lengths[0]:
            yield found
            lengths.popleft()
            found, seen = [], 0


def count_tokens(tokenizer: AnyTokenizer, texts: Sequence[str]) -> list[int]:
    """Tokens of each text. One of more than 256 KiB is counted in parts that end with a line where lines end."""
    counts = [0] * len(texts)
    parts = [(number, part) for number, text in enumerate(texts) if text for part in _parts(text)]
    for (number, _), ids in zip(parts, encode_all(tokenizer, (part for _, part in parts)), strict=True):
        counts[number] += len(ids)
    return counts


def _some(texts: Iterable[str]) -> Iterator[list[str]]:
    """As many texts as are encoded at once; none that is empty."""
    some: list[str] = []
    chars = 0
    for text in texts:
        some.append(text)
        chars += len(text) + _CHARS_OF_AN_ENCODING
        if chars >= CHARS_AT_ONCE:
            yield some
            some, chars = [], 0
    if some:
        yield some


def _ids(tokenizer: AnyTokenizer, texts: list[str]) -> Iterator[list[int]]:
    if isinstance(tokenizer, TextTokenizer) and tokenizer.words is not None:
        yield from tokenizer.words.encode(texts)
        return
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        yield encoding.ids


def _parts(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > CHARS_AT_ONCE:
        stop = text.rfind("\n", start, start + CHARS_AT_ONCE) + 1 or start + CHARS_AT_ONCE
        yield text[start:stop]
        start = stop
    yield text[start:]
