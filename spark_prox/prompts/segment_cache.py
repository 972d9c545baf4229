"""Token ids of a text's segments, remembered: a segment is a word with the white space before it.

In the layouts that `segments_of` knows, no token has one part before white space and another behind it. So the ids of a
segment do not depend on what is around it, and a look-up takes a tenth of the time of an encoding. The number of a
line, as in "[012]Home", is a segment of its own. For layouts that cut texts and encode each word alone see
`spark_prox.prompts.word_cache`. Knows no model.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

__all__ = ["SegmentCache", "segments_of"]

_MAX_SEGMENTS = 1 << 16
_MAX_SIZE = 1 << 21  # characters and ids that are remembered: at most some 80 MB, whatever the texts are
_LONGEST = 256  # that is remembered; a page in a script without blanks is encoded several times
_CHARS_PER_TOKEN = 6  # of most texts less
_BLANK = "\u2581"  # how sentencepiece writes a blank
_FIRST = "\x1c"  # marks the segment that begins a text; no other has the character
# Blanks to Python and not to the tokenizers, and a blank to the tokenizers and not to Python.
_ODD = re.compile("[\x1c-\x1f\u2581]")
_SPANNING = re.compile(r"[^\s\u2581]([\s\u2581])|[0-9](\])")

_WORD = r"\s*\S[^\s\]]*(?:(?<![0-9])\][^\s\]]*)*"
_WORD_PATTERN = re.compile(rf"{_WORD}|\s+")
# Llama 3 and Qwen take the ends of lines into the token of a sign: they stay with what is before them, where text
# follows at once, else with what follows, too.
_ENDS = r"(?:[\r\n]+(?=\S)|(?:(?<![0-9A-Za-z])[\r\n]\s*\S*)*)"
_WORD_AND_ENDS = re.compile(rf"{_WORD}{_ENDS}|\s+")
_WORDS_OF_DIGITS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
_KNOWN_PATTERNS = {digits.join(_WORDS_OF_DIGITS) for digits in (r"\p{N}", r"\p{N}{1,3}")}  # Qwen 2; Llama 3, cl100k

Encode = Callable[[list[str]], Sequence[Sequence[int]]]


def segments_of(tokenizer: Any) -> re.Pattern[str] | None:
    """The pattern of the segments of a `tokenizers.Tokenizer`; None for a layout whose segments depend on others."""
    tree = json.loads(tokenizer.to_str())
    model = tree["model"]
    if model["type"] != "BPE" or model.get("dropout") or any(_is_blank(token) for token in tree["added_tokens"]):
        return None
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return None
    cuts, changes = _parts(tree["pre_tokenizer"], "pretokenizers"), _parts(tree["normalizer"], "normalizers")
    if _is_sentencepiece(cuts, changes):
        return _between(model)
    if not all(_changes_single_characters(change) for change in changes):
        return None
    *before, last = cuts or [{"type": None}]
    if last["type"] != "ByteLevel":
        return None
    if last.get("use_regex", True):
        return _WORD_PATTERN if all(cut["type"] == "Digits" for cut in before) else None
    if last.get("add_prefix_space"):
        return None
    return _WORD_AND_ENDS if len(before) == 1 and _is_known_split(before[0]) else None


class SegmentCache:
    """The ids of the segments seen last. One a process; what threads ask at once may be encoded twice."""

    def __init__(self, encode: Encode, segments: re.Pattern[str]) -> None:
        """
        Args:
            encode: token ids of each text of a list, without special tokens.
            segments: see `segments_of`.
        """
        self._encode = encode
        self._segments = segments
        self._known: dict[str, Sequence[int]] = {}
        self._size = 0
        # What segments are encoded behind, and its tokens: a digit, and what ends a line for those that begin one.
        self._before = {mark: len(ids) for mark, ids in zip("0\n", encode(["0", "\n"]), strict=True)}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, as the tokenizer gives them for the whole text."""
        cut = [self._cut(text) for text in texts]
        known, others = self._look_up(set(chain.from_iterable(cut)))
        if not others:
            return [list(chain.from_iterable(map(known.__getitem__, segments))) for segments in cut]
        both = ChainMap(known, others)
        return [list(chain.from_iterable(map(both.__getitem__, segments))) for segments in cut]

    def beginning(self, text: str, tokens: int) -> tuple[str, int, str]:
        """The segments that have at most so many tokens, their tokens, and the segment behind them."""
        size = max(1, tokens) * _CHARS_PER_TOKEN
        while size < len(text):
            found = self._beginning(self._cut(text[:size])[:-1], tokens)  # the last one may be a part
            if found[2]:
                return found
            size *= 2
        return self._beginning(self._cut(text), tokens)

    def _beginning(self, segments: Sequence[str], tokens: int) -> tuple[str, int, str]:
        known, others = self._look_up(set(segments))
        seen = 0
        for place, segment in enumerate(segments):
            ids = others[segment] if segment in others else known[segment]
            if seen + len(ids) > tokens:
                return "".join(segments[:place]).removeprefix(_FIRST), seen, segment.removeprefix(_FIRST)
            seen += len(ids)
        return "".join(segments).removeprefix(_FIRST), seen, ""

    def _cut(self, text: str) -> list[str]:
        """The segments. The first is marked: some tokenizers put a blank before a text."""
        if _ODD.search(text):
            return [_FIRST + text]
        found = self._segments.findall(text)
        if found:
            found[0] = _FIRST + found[0]
        return found

    def _look_up(self, segments: set[str]) -> tuple[dict[str, Sequence[int]], dict[str, Sequence[int]]]:
        """Ids of the segments that are remembered from now on, and of the others."""
        known = self._known
        missing = list(segments.difference(known))
        if not missing:
            return known, {}
        others: dict[str, Sequence[int]] = {}
        before = list(map(_encoded_behind, missing))
        asked = [mark + segment.removeprefix(_FIRST) for mark, segment in zip(before, missing, strict=True)]
        for segment, mark, ids in zip(missing, before, self._encode(asked), strict=True):
            kept = known if len(segment) <= _LONGEST else others
            kept[segment] = tuple(ids[self._before[mark] :] if mark else ids)
            self._size += len(segment) + len(kept[segment]) if kept is known else 0
        if len(known) > _MAX_SEGMENTS or self._size > _MAX_SIZE:
            self._known, self._size = {}, 0  # this call still has the old ones
        return known, others


def _encoded_behind(segment: str) -> str:
    if segment.startswith(_FIRST):
        return ""
    return "0" if segment[0] == "]" or segment[0].isspace() else "\n"


def _parts(tree: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    if tree is None:
        return []
    return list(tree[name]) if tree["type"] == "Sequence" else [tree]


def _is_blank(token: dict[str, Any]) -> bool:
    """True for an added token that is cut out of texts: only those of white space still are, see `TextTokenizer`."""
    return not str(token["content"]).strip(" \t\r\n\u2581")


def _is_sentencepiece(cuts: list[dict[str, Any]], changes: list[dict[str, Any]]) -> bool:
    """True where a text is encoded whole, with its blanks written as a sign (Llama 2, Mistral, Gemma 1)."""
    if not cuts:
        *before, last = changes or [{"type": None}]
        blanks = last["type"] == "Replace" and (last["pattern"], last["content"]) == ({"String": " "}, _BLANK)
        return blanks and [change["type"] for change in before] in ([], ["Prepend"])
    return not changes and len(cuts) == 1 and cuts[0]["type"] == "Metaspace" and not cuts[0].get("split", True)


def _between(model: dict[str, Any]) -> re.Pattern[str] | None:
    """The segments between which no token lies; None if there are none, or characters without a token are joined."""
    vocabulary = model["vocab"]
    if not model.get("byte_fallback") or any(f"<0x{byte:02X}>" not in vocabulary for byte in range(256)):
        return None
    spanned = {"".join(pair) for token in vocabulary for pair in _SPANNING.findall(token)}
    if not spanned.isdisjoint((" ", _BLANK)):
        return None
    word = r"\s*\S+" if "]" in spanned else _WORD
    joined = f"(?:[{re.escape(''.join(sorted(spanned - {']'})))}]\\s*\\S*)*" if spanned - {"]"} else ""
    return re.compile(rf"{word}{joined}|\s+")


def _changes_single_characters(change: dict[str, Any]) -> bool:
    """True for a normalizer that makes no blank and takes none away, and joins nothing to one."""
    digits = change["type"] == "Replace" and (change["pattern"], change["content"]) == ({"Regex": r"\d"}, "0")
    return digits or change["type"] in {"NFC", "Lowercase"}


def _is_known_split(cut: dict[str, Any]) -> bool:
    behaviour = (cut.get("behavior"), cut.get("invert"))
    return (
        cut["type"] == "Split" and behaviour == ("Isolated", False) and cut["pattern"].get("Regex") in _KNOWN_PATTERNS
    )
