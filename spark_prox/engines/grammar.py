"""Constrained decoding of chunk programs: at each token, the ones after which the program can still be a valid one.

Valid is: one keep call alone; or calls, one a line, of `remove_lines` with lines that the chunk has, ascending and
apart, and of `normalize` with double-quoted strings. Every spelling of the prox dialect's calls is allowed, so the
model keeps its own. An automaton over characters decides; a tree of the vocabulary's texts makes it one over tokens.
Knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from spark_prox.prompts.text_tokenizer import AnyTokenizer

__all__ = ["Guide", "ProgramGrammar"]

_KEEPS = ("keep_chunk()", "untouch_doc()", "skip_chunk()")
_REMOVES = (("remove_lines(line_start=", ", line_end="), ("remove_lines(start=", ", end="))
_SOURCE = 'normalize(source_str="'
_TARGET = _SOURCE + '", target_str="'
_NORMALIZES = (_SOURCE + '")', _TARGET + '")')
_NOT_IN_STRING = frozenset('"\\\n')
_CACHED_STATES = 20_000


class _State(NamedTuple):
    """Where a program stands: `line` is its last line, without what stands inside quotes."""

    line: str
    low: int  # the first line that may still be removed
    last: int
    begun: bool  # a call has been finished


class ProgramGrammar:
    """The grammar of programs over one tokenizer's vocabulary."""

    def __init__(self, tokenizer: AnyTokenizer, stop_ids: Sequence[int]) -> None:
        self._stop_ids = tuple(stop_ids)
        self._texts = dict(_token_texts(tokenizer))
        self._tree: dict[str, Any] = {}
        for id_, text in self._texts.items():
            node = self._tree
            for char in text:
                node = node.setdefault(char, {})
            node.setdefault("", []).append(id_)
        self._plain = [id_ for id_, text in self._texts.items() if not _NOT_IN_STRING & set(text)]
        self._quoted = [id_ for id_, text in self._texts.items() if '"' in text]
        self._allowed: dict[_State, list[int]] = {}

    def guide(self, lines: tuple[int, int]) -> Guide:
        """The constraint of one program on a chunk's lines: first and last, both inclusive."""
        return Guide(self, _State("", lines[0], lines[1], False))

    def allowed(self, state: _State) -> list[int]:
        """Ids of the tokens that may come next; of the end tokens where the program may end."""
        ids = self._allowed.get(state)
        if ids is None:
            if _in_string(state.line):
                ids = [*self._plain, *(id_ for id_ in self._quoted if self.after(state, id_) is not None)]
            else:
                ids = list(_reachable(self._tree, state))
                if _complete(state.line):
                    ids += self._stop_ids
            if len(self._allowed) >= _CACHED_STATES:
                self._allowed.clear()
            self._allowed[state] = ids
        return ids

    def after(self, state: _State, id_: int) -> _State | None:
        """The state after a token; None where it is not allowed, the same state for an end token."""
        if id_ in self._stop_ids:
            return state
        found: _State | None = state
        for char in self._texts.get(id_, "\0"):
            found = _step(found, char) if found is not None else None
        return found


class Guide:
    """The constraint of one program while it is written."""

    def __init__(self, grammar: ProgramGrammar, state: _State) -> None:
        self._grammar = grammar
        self._state = state

    def mask(self, logits: Any) -> None:
        """Set the logits of the tokens that may not come next to minus infinity, in place; shape (vocabulary,)."""
        ids = self._grammar.allowed(self._state)
        kept = logits[ids]  # a copy
        logits.fill_(float("-inf"))
        logits[ids] = kept

    def accept(self, token: int) -> None:
        """Take a chosen token.

        Raises:
            ValueError: it was not allowed.
        """
        state = self._grammar.after(self._state, token)
        if state is None:
            raise ValueError(f"token {token} is not allowed here")
        self._state = state

    def advance(self, token: int) -> list[int]:
        """Take a chosen token. Returns it and those after it that the grammar leaves no choice of."""
        tokens = [token]
        while True:
            before = self._state
            self.accept(tokens[-1])
            allowed = self._grammar.allowed(self._state)
            if self._state is before or len(allowed) != 1:  # the same state: an end, or one more piece of a string
                return tokens
            tokens.append(allowed[0])


def _token_texts(tokenizer: AnyTokenizer) -> Iterator[tuple[int, str]]:
    """What each token adds to a text in its middle. Special tokens and pieces of characters are left out."""
    anchor = tokenizer.encode("x", add_special_tokens=False).ids[-1]
    alone = tokenizer.decode([anchor])
    special = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    ids = [id_ for id_ in range(tokenizer.get_vocab_size()) if id_ not in special]
    for id_, text in zip(ids, tokenizer.decode_batch([[anchor, id_] for id_ in ids]), strict=True):
        added = text.removeprefix(alone)
        if added and added != text and "\ufffd" not in added:
            yield id_, added


def _reachable(node: dict[str, Any], state: _State) -> Iterator[int]:
    for char, child in node.items():
        if char == "":
            yield from child
        elif (then := _step(state, char)) is not None:
            yield from _reachable(child, then)


def _step(state: _State, char: str) -> _State | None:
    line, low, last, begun = state
    if _in_string(line) and char != '"':
        return None if char in _NOT_IN_STRING else state
    if char == "\n":
        if not _complete(line) or line.lstrip() in _KEEPS:
            return None
        removed = line.lstrip().startswith("remove")
        return _State("", int(line[line.rindex("=") + 1 : -1]) + 1 if removed else low, last, True)
    if not line and char == " " and not begun:  # an answer often begins with the space that the template leaves to it
        return _State(" ", low, last, False)
    longer = line + char
    return _State(longer, low, last, begun) if _viable(longer.removeprefix(" "), low, last, begun) else None


def _in_string(line: str) -> bool:
    return line.removeprefix(" ") in (_SOURCE, _TARGET)


def _complete(line: str) -> bool:
    return line.endswith(")")  # viable lines have it only there, for a line does not hold its strings


def _viable(line: str, low: int, last: int, begun: bool) -> bool:
    """Whether a line can become a call."""
    if any(call.startswith(line) for call in _NORMALIZES) or (not begun and any(k.startswith(line) for k in _KEEPS)):
        return True
    for head, middle in _REMOVES:
        if head.startswith(line):
            return low <= last
        if line.startswith(head):
            start, rest = _number(line[len(head) :])
            if not rest:
                return _leads_into(start, low, last)
            if not start or not low <= int(start) <= last:
                return False
            if not rest.startswith(middle):
                return middle.startswith(rest)
            end, rest = _number(rest[len(middle) :])
            if not rest:
                return _leads_into(end, int(start), last)
            return rest == ")" and bool(end) and int(start) <= int(end) <= last
    return False


def _number(text: str) -> tuple[str, str]:
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return digits, text[len(digits) :]


def _leads_into(digits: str, low: int, high: int) -> bool:
    """Whether some number from low to high begins with these digits."""
    if not digits or digits[0] == "0":
        return low <= high and digits in ("", "0") and (not digits or low == 0)
    value = int(digits)
    widths = range(len(str(high)) - len(digits) + 1)
    return any(value * 10**width <= high and (value + 1) * 10**width > low for width in widths)
