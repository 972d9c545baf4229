"""Tokens of texts before and after their edits: what stays is not counted twice.

Lines that were removed from between others take their tokens with them, in the layouts whose tokens end with a line
(`spark_prox.prompts.segment_cache`). So a text that lost little is counted by what it lost. Knows no program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spark_prox.programs.edits import Edit
from spark_prox.prompts.encoding import CHARS_AT_ONCE, count_tokens
from spark_prox.prompts.segment_cache import SegmentCache
from spark_prox.prompts.text_tokenizer import AnyTokenizer, TextTokenizer

__all__ = ["count_before_and_after"]

_WORD = re.compile(r"\S+")


def count_before_and_after(
    tokenizer: AnyTokenizer, texts: Sequence[str], refined: Sequence[str], edits: Sequence[Sequence[Edit]]
) -> tuple[list[int], list[int]]:
    """Tokens of each text, and of what its edits made of it.

    Args:
        refined: the texts after their edits; "" for one that was dropped.
        edits: of each text.
    """
    words = tokenizer.words if isinstance(tokenizer, TextTokenizer) else None
    lost = [
        _lost(words, text, after, some) if text != after else ("", "")
        for text, after, some in zip(texts, refined, edits, strict=True)
    ]
    asked = [text for after, pair in zip(refined, lost, strict=True) for text in (pair or (after, ""))]
    before = count_tokens(tokenizer, texts)
    counts = iter(count_tokens(tokenizer, asked))
    after = []
    for tokens, pair in zip(before, lost, strict=True):
        longer, shorter = next(counts), next(counts)
        after.append(longer if pair is None else tokens - longer + shorter)
    return before, after


def _lost(words: object, text: str, after: str, edits: Sequence[Edit]) -> tuple[str, str] | None:
    """Two texts that differ by as many tokens as the edits take away; None where `after` has to be counted."""
    if not isinstance(words, SegmentCache) or not words.ends_with_lines or len(text) > CHARS_AT_ONCE:
        return None
    size = sum(edit.stop - edit.start for edit in edits)
    if size > len(after) or len(text) - size != len(after):
        return None  # most of it went, or not all that changed is in the edits
    kept = "x"
    pieces: list[str] = []
    stop = -1
    for edit in edits:
        lines = _whole_lines(words, text, edit)
        if lines is None or edit.start == stop:
            return None
        stop = edit.stop
        if edit.start == 0:
            following = _WORD.match(text, stop)
            assert following is not None
            kept = following[0]
            pieces += [f"{lines}\n{kept}"]
        else:
            pieces += [f"\n{lines}"] if pieces else [f"{kept}\n{lines}"]
    return "".join(pieces), kept


def _whole_lines(words: SegmentCache, text: str, edit: Edit) -> str | None:
    """The lines that an edit removed, if tokens begin and end with them; else None."""
    start, stop, removed = edit.start, edit.stop, edit.removed
    if edit.kind != "remove_lines" or edit.inserted:
        return None
    if removed.endswith("\n") and (start == 0 or text[start - 1] == "\n"):
        lines, around = removed[:-1], [text[stop : stop + 1]]
        around += [text[max(start - 2, 0) : start - 1]] if start else []
    elif removed.startswith("\n") and stop == len(text):
        lines, around = removed[1:], [text[max(start - 1, 0) : start]]
    else:
        return None
    return lines if all(map(words.is_solid, [*around, lines[:1], lines[-1:]])) else None
