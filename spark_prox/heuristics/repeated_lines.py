"""Lines that many pages of a host share: the key by which a line is counted, and the verdict on a page.

Lines are compared as CCNet does (Wenzek et al., arXiv 1911.00359, section 3): without case and punctuation, every
digit a 0, by the first 64 bits of SHA-1. Counts nothing; knows no Spark.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from spark_prox.programs.write import remove_lines_program

__all__ = ["MAX_LINES", "PageVerdict", "judge_lines", "line_keys", "normal_lines"]

MAX_LINES = 20_000
"""Lines of a page that are looked at; those behind them stay."""

_HASH_BYTES = 8
_MOST_CHARS = (1 << 16) - 1
_NOT_COMPARED = re.compile(r"[^\w\n]+|_+")
_DIGIT = re.compile(r"\d")


class PageVerdict(NamedTuple):
    """A page without the lines that repeat.

    Attributes:
        reason: None for a page that stays.
        detail: how many lines repeat.
        program: removes them, in ProX's own words; None where the page is dropped or nothing repeats.
    """

    reason: str | None = None
    detail: str | None = None
    program: str | None = None


def normal_lines(text: str) -> list[str]:
    """The lines as they are compared: letters and digits in lower case, each digit as 0; "" where there are none."""
    parts = text.split("\n", MAX_LINES)
    text = "\n".join(parts[:MAX_LINES]) if len(parts) > MAX_LINES else text
    return _DIGIT.sub("0", _NOT_COMPARED.sub("", text.lower())).split("\n")


def line_keys(text: str) -> list[bytes | None]:
    """A key for each line: 8 bytes of its SHA-1, and its length in characters as 2 bytes; None for an empty one.

    The length is that of the compared line, so that equal keys are equal lines, and a page's verdict needs no text.
    """
    known: dict[str, bytes | None] = {"": None}
    keys = []
    for line in normal_lines(text):
        if line not in known:
            hashed = hashlib.sha1(line.encode("utf-8", "replace"), usedforsecurity=False).digest()
            known[line] = hashed[:_HASH_BYTES] + min(len(line), _MOST_CHARS).to_bytes(2, "big")
        keys.append(known[line])
    return keys


def judge_lines(keys: Sequence[bytes | None], repeated: Collection[int], *, min_chars: int) -> PageVerdict:
    """The verdict on a page.

    Args:
        keys: of its lines.
        repeated: numbers of the lines that repeat, 0-based.
        min_chars: a page of which lines go and fewer letters and digits stay is dropped.
    """
    gone = {line for line in repeated if 0 <= line < len(keys)}
    if not gone:
        return PageVerdict()
    said = f"{len(gone)} of {len(keys)} lines repeat"
    left = sum(_chars(key) for line, key in enumerate(keys) if line not in gone)
    if left < min_chars:
        return PageVerdict(reason="REPEATED_LINES", detail=f"{left} characters left < {min_chars}, {said}")
    return PageVerdict(detail=said, program=remove_lines_program(gone))


def _chars(key: bytes | None) -> int:
    return int.from_bytes(key[_HASH_BYTES:], "big") if key else 0
