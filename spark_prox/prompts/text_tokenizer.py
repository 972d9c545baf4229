"""A tokenizer that takes every text as text: no page can contain a control token.

A tokenizer cuts its added tokens out of a text before it encodes the rest. `encode_special_tokens` stops that for those
flagged as special only, not for `<think>` or `<tool_call>`, and models of the kinds Unigram, WordPiece and WordLevel
find even special ones in their vocabulary. So the encoding half of a `TextTokenizer` is a copy in which added tokens
have names that no text contains. Their ids stay as they are, and so does every other token.

Added tokens of white space alone, and those for single bytes, encode text and stay. Knows no model and no prompt.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from spark_prox.programs.thoughts import is_mark
from spark_prox.prompts.segment_cache import SegmentCache
from spark_prox.prompts.segment_layouts import segments_of
from spark_prox.prompts.word_cache import WordCache, cuts_at_blanks, newline_token

__all__ = ["AnyTokenizer", "TextTokenizer"]

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_BLANKS = re.compile(r"[\s\u2581]*")  # as written, and as sentencepiece writes it


class TextTokenizer:
    """A `tokenizers.Tokenizer` whose `encode...` methods never give an added token's id.

    All other attributes are the tokenizer's own: decoding and `token_to_id` know the added tokens.

    Attributes:
        words: remembers the ids of words; None for a tokenizer whose tokens may lie across the borders of words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._whole = tokenizer
        self._text = _without_added_tokens(tokenizer)
        self._silent = frozenset(
            number
            for number, token in tokenizer.get_added_tokens_decoder().items()
            if token.special and not is_mark(token.content)
        )
        self.words = self._cache()
        self.encode = self._text.encode
        self.encode_batch = self._text.encode_batch
        self.encode_batch_fast = self._text.encode_batch_fast

    @classmethod
    def of(cls, tokenizer: AnyTokenizer) -> TextTokenizer:
        """A tokenizer as a `TextTokenizer`."""
        return tokenizer if isinstance(tokenizer, TextTokenizer) else cls(tokenizer)

    @property
    def whole(self) -> Tokenizer:
        """The tokenizer as it is, for text of ours in which control tokens are meant."""
        return self._whole

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text that a model wrote, without special tokens except those that mark its thoughts.

        Without the marks, what it thought would look like what it answered.
        """
        shown = [number for number in ids if number not in self._silent]
        return str(self._whole.decode(shown, skip_special_tokens=False))

    def _cache(self) -> WordCache | SegmentCache | None:
        if cuts_at_blanks(self._text):
            return WordCache(self._ids_of, newline_token(self._text))
        segments = segments_of(self._text)
        return SegmentCache(self._ids_of, segments) if segments else None

    def _ids_of(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._text.encode_batch_fast(texts, add_special_tokens=False)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


AnyTokenizer = Tokenizer | TextTokenizer


def _without_added_tokens(tokenizer: Tokenizer) -> Any:
    tree = json.loads(tokenizer.to_str())
    secret = secrets.token_hex(8)
    hidden = {
        token["content"]: f"\ue000{secret}-{token['id']}\ue001"
        for token in tree["added_tokens"]
        if not _BLANKS.fullmatch(token["content"]) and not _BYTE.fullmatch(token["content"])
    }
    for token in tree["added_tokens"]:
        token["content"] = hidden.get(token["content"], token["content"])
        token["special"] = token["special"] or bool(_BYTE.fullmatch(token["content"]))
    _rename(tree["model"], hidden)
    tree["padding"] = tree["truncation"] = None
    text: Any = Tokenizer.from_str(json.dumps(tree))
    text.encode_special_tokens = True
    for content, name in hidden.items():
        if text.token_to_id(name) != tokenizer.token_to_id(content):
            raise ValueError("an added token would change its id")
    return text


def _rename(model: dict[str, Any], names: dict[str, str]) -> None:
    """Give entries of a model's vocabulary other names, and forget the merges that make them."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pieces with their scores
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    else:
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    if (unknown := model.get("unk_token")) is not None:
        model["unk_token"] = names.get(unknown, unknown)
    if model.get("merges"):
        prefix = model.get("continuing_subword_prefix") or ""

        def makes_one(merge: Any) -> bool:
            left, right = merge if isinstance(merge, list) else merge.split(" ")
            return left in names or right in names or left + right.removeprefix(prefix) in names

        model["merges"] = [merge for merge in model["merges"] if not makes_one(merge)]
