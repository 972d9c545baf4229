"""Token ids word by word, remembered: a page's words have nearly all been encoded before.

Tokenizers that cut a text at its blanks and encode each word alone (sentencepiece's way) give the same ids whether a
word is encoded with its text or by itself. A look-up takes a tenth of the time of an encoding. Knows no model.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

__all__ = ["WordCache", "cuts_at_blanks"]

_MAX_WORDS = 1 << 16
_MAX_CHARS = 32  # of a word that is remembered; a script without blanks has few that come again
_BLANK = "\u2581"  # how sentencepiece writes a blank
_NORMALIZERS = [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]

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


class WordCache:
    """The ids of the words seen last. One a process; what threads ask at once may be encoded twice."""

    def __init__(self, encode: Encode) -> None:
        """
        Args:
            encode: token ids of each text of a list, without special tokens.
        """
        self._encode = encode
        self._known: dict[str, tuple[int, ...]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, as the tokenizer gives them for the whole text."""
        cut = [_words(text) for text in texts]
        known, others = self._look_up(set(chain.from_iterable(cut)))
        found = []
        for words in cut:
            parts = list(map(known.get, words))
            if others:
                parts = [others[word] if part is None else part for word, part in zip(words, parts, strict=True)]
            found.append(list(chain.from_iterable(filter(None, parts))))
        return found

    def _look_up(self, words: set[str]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """Ids of the words that are remembered from now on, and of the others."""
        known = self._known
        missing = list(words.difference(known))
        ids = dict(zip(missing, map(tuple, self._encode(missing)), strict=True)) if missing else {}
        short = {word: some for word, some in ids.items() if len(word) <= _MAX_CHARS}
        known.update(short)
        if len(known) > _MAX_WORDS:
            self._known = {}  # this call still has the old one
        return known, ids if len(short) < len(ids) else {}


def _words(text: str) -> list[str]:
    """What the tokenizer encodes by itself; the whole text where a blank could be a token of its own."""
    normal = unicodedata.normalize("NFKC", text)
    if _BLANK in normal or normal.endswith(" "):
        return [text]
    return [word for word in normal.split(" ") if word]
