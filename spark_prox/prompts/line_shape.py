"""Describe each line by two small numbers and the page by a sketch, for the embedded refiner's prompt.

The prompt shows only a line's first and last tokens, so length, final punctuation, capitals and repetition are given as
special tokens of their own. Pure: standard library only, bounded work for lines of any length.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "FORMS",
    "LENGTHS",
    "PROSE_LENGTH",
    "PROSE_LEVELS",
    "QUALITIES",
    "QUALITY_LEVELS",
    "SEGMENTS",
    "LineShape",
    "LineShapes",
    "line_shapes",
    "page_qualities",
    "page_sketch",
]

MAX_CHARS = 400  # what is looked at of a line
_SIZE_STEPS = (1, 2, 3, 4, 5, 7, 9, 12, 16, 23, 36, 61)
_ENDINGS = 3
_CASES, _CONTENTS = 5, 6
LENGTHS = (len(_SIZE_STEPS) + 1) * _ENDINGS
FORMS = _CASES * _CONTENTS
_KEYS_AT_ONCE = 1 << 18
PROSE_WORDS = 10
PROSE_LENGTH = bisect_right(_SIZE_STEPS, 9) * _ENDINGS
"""Length tokens from here on are of lines of at least nine words."""
SEGMENTS = 16
_PROSE_STEPS = (0.01, 2, 5, 10, 20, 40)
PROSE_LEVELS = len(_PROSE_STEPS) + 1
QUALITIES = ("words", "lines", "prose", "sentences", "repeats", "letters", "word_length", "variety")
QUALITY_LEVELS = 8

_WORD = re.compile(r"\w+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_URL_OR_MAIL = re.compile(r"https?://|www\.|\S@\S+\.\w")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./:]\d{2}\b")
_MENU_SIGNS = re.compile(r"[|»›→•·©®™▼]")
_ASCII = re.compile(r"[\x00-\x7f]+")
_NO_DIGITS = bytes(code for code in range(128) if not chr(code).isdigit())
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_SENTENCE_ENDS = frozenset('.!?。！？…"”’»')


class LineShape(NamedTuple):
    """A line without its words.

    Attributes:
        size: words, a CJK character counting as half a word; estimated for a line beyond `MAX_CHARS`.
        length: number of the length token, 0..LENGTHS-1: size bucket and final punctuation.
        form: number of the form token, 0..FORMS-1: capitals and kind of content.
    """

    size: float
    length: int
    form: int


@dataclass(frozen=True, kw_only=True)
class LineShapes:
    """The shapes of all lines of a page, ten bytes each. Attributes as in `LineShape`, by line."""

    size: array[float]
    length: bytearray
    form: bytearray


@lru_cache(maxsize=1 << 15)  # a page of words, many times over
def _capital(word: str) -> bool | None:
    """How a word begins; None for one without letters that have a case."""
    return word[0].isupper() if word.lower() != word.upper() else None


def _case_of(words: Sequence[str], text: str) -> int:
    """0 no letters with case, 1 lower-case start, 2 sentence, 3 title, 4 capitals."""
    capitals = [capital for word in words if (capital := _capital(word)) is not None]
    if not capitals:
        return 0
    if text.isupper():
        return 4
    if len(capitals) > 1 and 3 * sum(capitals) >= 2 * len(capitals):
        return 3
    return 2 if capitals[0] else 1


def _count(text: str, others: bytes, belongs: Callable[[str], bool]) -> int:
    """How many characters belong to a class.

    Args:
        others: the ASCII characters that do not.
        belongs: for those beyond ASCII.
    """
    ascii_only = text.encode("ascii", "ignore")
    found = len(ascii_only.translate(None, others))
    if len(ascii_only) < len(text):
        found += sum(map(belongs, _ASCII.sub("", text)))
    return found


def _content_of(text: str, repeated: bool) -> int:
    """0 plain, 1 seen before in this page, 2 address, 3 menu signs, 4 mostly digits, 5 a date or time."""
    if repeated:
        return 1
    # The patterns are slow, and without these characters they find nothing.
    if ("http" in text or "www." in text or "@" in text) and _URL_OR_MAIL.search(text):
        return 2
    if "|" in text or (not text.isascii() and _MENU_SIGNS.search(text)):
        return 3
    digits = _count(text, _NO_DIGITS, str.isdigit)
    if 3 * digits > len(text):
        return 4
    return 5 if digits and _DATE.search(text) else 0


def _shape_of(line: str, repeated: bool) -> LineShape:
    text = line[:MAX_CHARS].strip()
    words = _WORD.findall(text)
    size = len(words) + (0.0 if text.isascii() else len(_CJK.findall(text)) / 2)
    if len(line) > MAX_CHARS:
        size *= len(line) / MAX_CHARS
    last = line[-MAX_CHARS:].rstrip()[-1:]
    ending = 2 if last in _SENTENCE_ENDS and last else 1 if last in {":", ";", ","} else 0
    bucket = bisect_right(_SIZE_STEPS, size)
    return LineShape(size, bucket * _ENDINGS + ending, _case_of(words, text) * _CONTENTS + _content_of(text, repeated))


def line_shapes(lines: Sequence[str]) -> LineShapes:
    """The shape of every line of a page; a line that an earlier one equals in its first characters is a repetition."""
    sizes, lengths, forms = array("d"), bytearray(), bytearray()
    for line, repeated in zip(lines, _repetitions(lines), strict=True):
        shape = _shape_of(line, bool(repeated))
        sizes.append(shape.size)
        lengths.append(shape.length)
        forms.append(shape.form)
    return LineShapes(size=sizes, length=lengths, form=forms)


def _repetitions(lines: Sequence[str]) -> bytearray:
    """1 for each line whose first characters are those of an earlier one, else 0; 0 for an empty line.

    Compares 64-bit hashes, and of a page of very many lines some at a time: a set takes twenty times their bytes.
    """
    keys = array("q", (hash(line[:MAX_CHARS]) if line else 0 for line in lines))
    repeated = bytearray(len(keys))
    parts = 1 + len(keys) // _KEYS_AT_ONCE
    for part in range(parts):
        seen = {0}
        for number, key in enumerate(keys):
            if parts > 1 and key % parts != part:
                continue
            if key in seen:
                repeated[number] = key != 0
            seen.add(key)
    return repeated


def page_sketch(shapes: LineShapes) -> list[int]:
    """The amount of prose in each sixteenth of the page's lines: `SEGMENTS` levels of words in long lines per line."""
    sizes = shapes.size
    sketch = []
    for segment in range(SEGMENTS):
        part = sizes[segment * len(sizes) // SEGMENTS : (segment + 1) * len(sizes) // SEGMENTS]
        words = sum(min(size, 200) for size in part if size >= PROSE_WORDS)
        sketch.append(bisect_right(_PROSE_STEPS, words / max(1, len(part))))
    return sketch


def page_qualities(lines: Sequence[str], shapes: LineShapes, *, max_lines: int = 2_000) -> list[int]:
    """A level 0..QUALITY_LEVELS-1 for each of `QUALITIES`, from at most `max_lines` lines spread over the page."""
    stride = -(-len(lines) // max_lines) or 1
    text = "\n".join(line[:MAX_CHARS] for line in lines[::stride])
    words = _WORD.findall(text.lower())
    sizes, lengths, forms = shapes.size[::stride], shapes.length[::stride], shapes.form[::stride]
    total = sum(sizes) or 1
    prose = sum(size for size in sizes if size >= PROSE_WORDS)
    ends = sum(size for size, length in zip(sizes, lengths, strict=True) if length % _ENDINGS == 2)
    repeats = sum(form % _CONTENTS == 1 for form in forms)
    letters = _count(text, _NO_LETTERS, str.isalpha)
    return [
        bisect_right((20, 50, 100, 200, 400, 800, 1600), total * stride),
        bisect_right((2, 5, 12, 30, 70, 150, 400), len(lines)),
        bisect_right((0.01, 0.2, 0.4, 0.6, 0.75, 0.88, 0.96), prose / total),
        bisect_right((0.01, 0.2, 0.4, 0.6, 0.75, 0.88, 0.96), ends / total),
        bisect_right((0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5), repeats / max(1, len(forms))),
        bisect_right((0.5, 0.6, 0.66, 0.7, 0.74, 0.77, 0.8), letters / max(1, len(text))),
        bisect_right((3.6, 4.0, 4.3, 4.6, 4.9, 5.3, 6.0), sum(map(len, words)) / max(1, len(words))),
        bisect_right((0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), len(set(words[:1000])) / max(1, len(words[:1000]))),
    ]
