"""The segments of a tokenizer's layout: words with the white space before them, between which no token lies.

Of byte-level BPE (GPT-2, SmolLM2, Llama 3, Qwen) and sentencepiece BPE (Llama 2, Mistral, Gemma 1). Reads a tokenizer's
own description; remembers nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

__all__ = ["Segments", "segments_of"]

_BLANK = "\u2581"  # how sentencepiece writes a blank
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


class Segments(NamedTuple):
    """The segments of a layout.

    Attributes:
        pattern: finds them.
        joining: characters of white space that may belong to the word before them. A text without them can be cut at
            every blank and end of a line. None where ends of lines are such.
        numbers: the number of a line is a segment of its own.
    """

    pattern: re.Pattern[str]
    joining: str | None = ""
    numbers: bool = True


def segments_of(tokenizer: Any) -> Segments | None:
    """The segments of a `tokenizers.Tokenizer`; None for a layout whose segments depend on others."""
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
        return Segments(_WORD_PATTERN) if all(cut["type"] == "Digits" for cut in before) else None
    if last.get("add_prefix_space"):
        return None
    return Segments(_WORD_AND_ENDS, None) if len(before) == 1 and _is_known_split(before[0]) else None


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


def _between(model: dict[str, Any]) -> Segments | None:
    """The segments between which no token lies; None if there are none, or characters without a token are joined."""
    vocabulary = model["vocab"]
    if not model.get("byte_fallback") or any(f"<0x{byte:02X}>" not in vocabulary for byte in range(256)):
        return None
    spanned = {"".join(pair) for token in vocabulary for pair in _SPANNING.findall(token)}
    if not spanned.isdisjoint((" ", _BLANK)):
        return None
    word = r"\s*\S+" if "]" in spanned else _WORD
    joining = "".join(sorted(spanned - {"]"}))
    joined = f"(?:[{re.escape(joining)}]\\s*\\S*)*" if joining else ""
    return Segments(re.compile(rf"{word}{joined}|\s+"), joining, numbers="]" not in spanned)


def _changes_single_characters(change: dict[str, Any]) -> bool:
    """True for a normalizer that makes no blank and takes none away, and joins nothing to one."""
    digits = change["type"] == "Replace" and (change["pattern"], change["content"]) == ({"Regex": r"\d"}, "0")
    return digits or change["type"] in {"NFC", "Lowercase"}


def _is_known_split(cut: dict[str, Any]) -> bool:
    behaviour = (cut.get("behavior"), cut.get("invert"))
    return (
        cut["type"] == "Split" and behaviour == ("Isolated", False) and cut["pattern"].get("Regex") in _KNOWN_PATTERNS
    )
