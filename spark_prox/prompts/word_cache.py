"""Token ids word by word, remembered: a page's words have nearly all been encoded before.

Tokenizers that cut a text at its blanks and encode each word alone (sentencepiece's way) give the same ids whether a
word is encoded with its text or by itself. A look-up takes a tenth of the time of an encoding. Where no token holds a
newline, the last word of a line and the first of the next are two words as well. Knows no model.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any

__all__ = ["WordCache", "cuts_at_blanks", "newline_token"]

_MAX_WORDS = 1 << 16
_MAX_CHARS = 32  # of a word that is remembered; a script without blanks has few that come again
_BLANK = "\u2581"  # how sentencepiece writes a blank
_NORMALIZERS = [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
# Where characters lie that came after Unicode 13, the tokenizers' own: Python's NFKC may change them, theirs does not.
_NEWER = re.compile(
    "[\u0897-\u089f\u08ca-\u08d2\u0c3c\u1715\u1ac1-\u1aff\u1dfa\ua7f2-\ua7f4\U00010000-\U0001cfff\U0001df00-\U0001edff]"
)

# What is remembered beside words, which hold no blank, begins with one:
_LINE = " \n"  # the beginning of a line that no blank precedes
_WHOLE = "  "  # a text that is not cut

Encode = Callable[[list[str]], Sequence[Sequence[int]]]


def cuts_at_blanks(tokenizer: Any) -> bool:
    """True for a `tokenizers.Tokenizer` of the one layout for which `WordCache` is proven."""
    tree = json.loads(tokenizer.to_str())
    cut = tree.get("pre_tokenizer") or {}
    return (
        tree["model"]["type"] == "Unigram"
        and (tree.get("normalizer") or {}).get("normalizers") == _NORMALIZERS
        and cut.get("type") == "Metaspace"
        and (cut.get("replacement"), cut.get("prepend_scheme"), cut.get("split")) == (_BLANK, "always", True)
    )


def newline_token(tokenizer: Any) -> int | None:
    """The token of an unknown character, if a newline is one whatever is around it; else None."""
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] != "Unigram" or model.get("byte_fallback"):
        return None
    pieces = {piece for piece, _ in model["vocab"]}
    found: int | None = model.get("unk_id")
    return found if _BLANK in pieces and not any("\n" in piece for piece in pieces) else None


class WordCache:
    """The ids of the words seen last. One a process; what threads ask at once may be encoded twice."""

    def __init__(self, encode: Encode, newline: int | None = None) -> None:
        """
        Args:
            encode: token ids of each text of a list, without special tokens.
            newline: see `newline_token`; None to cut texts at their blanks alone.
        """
        self._encode = encode
        self._newline = newline
        self._known: dict[str, tuple[int, ...]] = {}
        self._open: set[str] = set()  # of those, and of others, the ones that end with an unknown character

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, as the tokenizer gives them for the whole text."""
        cut = [_words(text, at_lines=self._newline is not None) for text in texts]
        known, others, unended = self._look_up(set(chain.from_iterable(cut)))
        found = []
        for text, words in zip(texts, cut, strict=True):
            parts = list(map(known.get, words))
            if others and None in parts:
                parts = [others[word] if part is None else part for word, part in zip(words, parts, strict=True)]
            if not unended.isdisjoint(words) and self._runs_on(words, parts):
                parts = [tuple(ids) for ids in self._encode([text])]
            found.append(list(chain.from_iterable(filter(None, parts))))
        return found

    def _look_up(
        self, words: set[str]
    ) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]], AbstractSet[str]]:
        """Ids of the words that are remembered from now on, and of the others; those that end as an unknown newline."""
        known, unended = self._known, self._open
        missing = list(words.difference(known))
        ids = dict(zip(missing, self._ids_of(missing), strict=True)) if missing else {}
        unended.update(word for word, some in ids.items() if some and some[-1] == self._newline and word.strip())
        short = {word: some for word, some in ids.items() if len(word) <= _MAX_CHARS}
        known.update(short)
        if len(known) + len(unended) > _MAX_WORDS:
            self._known, self._open = {}, set()  # this call still has the old ones
        return known, ids if len(short) < len(ids) else {}, unended

    def _ids_of(self, words: list[str]) -> Iterator[tuple[int, ...]]:
        """The ids of words; of the beginning of a line without the blank that the tokenizer puts before a text."""
        texts = [word[1:] if word.startswith(_LINE) else word.removeprefix(_WHOLE) for word in words]
        for word, ids in zip(words, self._encode(texts), strict=True):
            yield tuple(ids[1:] if word.startswith(_LINE) else ids)

    def _runs_on(self, words: Sequence[str], parts: Sequence[tuple[int, ...] | None]) -> bool:
        """True if a line ends with an unknown character: the tokenizer makes one token of it and the newline."""
        return any(
            before and before[-1] == self._newline and word.startswith(_LINE)
            for word, before in zip(words[1:], parts, strict=False)
        )


def _words(text: str, *, at_lines: bool) -> list[str]:
    """The parts that the tokenizer encodes by themselves; the whole text where a blank could be a token of its own.

    Args:
        at_lines: a line begins a word also where no blank precedes it.
    """
    normal = unicodedata.normalize("NFKC", text)
    if _BLANK in normal or normal.endswith(" ") or (not text.isascii() and _NEWER.search(text)):
        return [_WHOLE + text]
    if not at_lines or "\n" not in normal:
        return [word for word in normal.split(" ") if word]
    first, *lines = normal.split("\n")
    words = first.split(" ")
    newlines = ""
    for number, line in enumerate(lines, 1):
        newlines += "\n"
        if line or number == len(lines):
            begun = (newlines + line).split(" ")
            if words[-1]:
                begun[0] = " " + begun[0]
            words += begun
            newlines = ""
    return [word for word in words if word]
