"""Token ids of a text's segments, remembered: a segment is a word with the white space before it.

In the layouts of `spark_prox.prompts.segment_layouts` no token has one part before white space and another behind it.
So the ids of a segment do not depend on what is around it, and a look-up takes a tenth of the time of an encoding. The
number of a line, as in "[012]Home", is a segment of its own. For layouts that cut texts and encode each word alone see
`spark_prox.prompts.word_cache`. Knows no model.

Most texts are cut at blanks and ends of lines, which takes a fifth of the time of a regular expression. Their words are
remembered without the blank, apart from the segments of other texts.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain, pairwise

from spark_prox.prompts.segment_layouts import Segments

__all__ = ["LineIds", "SegmentCache"]

_MAX_SEGMENTS = 1 << 16
_MAX_SIZE = 1 << 21  # characters and ids that a memory holds: at most some 80 MB each, whatever the texts are
_LONGEST = 256  # that is remembered; a page in a script without blanks is encoded several times
_CHARS_PER_TOKEN = 6  # of most texts less
_FIRST = "\x1c"  # marks the segment that begins a text; no other has the character
_GLUED = "\x1d"  # marks a word of a plain text that has no blank before it, but itself begins with white space or "]"
_HIDDEN = {" ": "\x1e", "\n": "\x1f"}  # in such a word
# Blanks to Python and not to the tokenizers, and a blank to the tokenizers and not to Python.
_ODD = "\x1c\x1d\x1e\x1f\u2581"
_WHITE = "\t\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SHOWN = str.maketrans({hidden: one for one, hidden in _HIDDEN.items()})
_RUNS = ("\n\n", " \n", "\n ")
_END = "\x00"  # of a line, while many are cut together
_BLANKS = re.compile(r"  +")  # a pattern with a fixed beginning takes a tenth of the time of the others
_BLANKS_IN_LINES = re.compile(r"  +\x00?")
_BLANK_AT_END = f" {_GLUED}{_HIDDEN[' ']}{_HIDDEN[chr(10)]} {_FIRST}"  # as `_hidden` gives it
_RUN = re.compile(r"\s\s+")
_RUN_IN_LINES = re.compile(r"\s+\x00|\s\s+")
_NO_START = re.compile(r"\x00[\s\x00]")  # a line that is empty or begins with white space
_NUMBER_END = re.compile(r"\](?<=[0-9]\])")

Encode = Callable[[list[str]], Sequence[Sequence[int]]]


class SegmentCache:
    """The ids of the segments seen last. One a process; what threads ask at once may be encoded twice.

    Attributes:
        ends_with_lines: no token lies before and behind the end of a line that has solid characters on both sides.
    """

    def __init__(self, encode: Encode, segments: Segments) -> None:
        """
        Args:
            encode: token ids of each text of a list, without special tokens.
            segments: of the tokenizer's layout.
        """
        self._pattern = segments.pattern
        self._joining = segments.joining
        self._numbers = segments.numbers
        self.ends_with_lines = segments.joining is not None and "\n" not in segments.joining
        # What segments are encoded behind, and its tokens: a digit, and what ends a line for those that begin one.
        before = {mark: len(ids) for mark, ids in zip("0\n", encode(["0", "\n"]), strict=True)}
        self._segments = _Memory(encode, before, _as_it_is)
        self._words = _Memory(encode, before, _with_its_blank)

    def is_solid(self, character: str) -> bool:
        """True for a character, and not "", that is no white space to anyone and joins none to itself."""
        return bool(character) and not character.isspace() and character not in _ODD + (self._joining or "")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, as the tokenizer gives them for the whole text."""
        plain = [self._cut_at_blanks(text) for text in texts]
        if None not in plain:
            return self._words.ids([words for words in plain if words is not None])
        of_plain = iter(self._words.ids([words for words in plain if words is not None]))
        others = [self._cut(text) for text, words in zip(texts, plain, strict=True) if words is None]
        of_others = iter(self._segments.ids(others))
        return [next(of_others if words is None else of_plain) for words in plain]

    def line_lengths(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line with a line end behind it, encoded alone."""
        known = self.lines(lines)
        return known.lengths if known else list(map(len, self.encode([f"{line}\n" for line in lines])))

    def lines(self, lines: Sequence[str]) -> LineIds | None:
        """The ids of lines that are counted and then shown; None for lines that the pattern has to cut."""
        text = _END.join(["", *lines, ""])
        is_plain = text.count(_END) == len(lines) + 1 and "\n" not in text and not _NO_START.search(text)
        if not is_plain or self._is_odd(text) or not self.ends_with_lines:
            return None
        if _has_one(text, _WHITE):
            text = _RUN_IN_LINES.sub(_hidden, text)
        else:
            text = _BLANKS_IN_LINES.sub(_hidden, text) if "  " in text else text
            text = text.replace(f" {_END}", _BLANK_AT_END)
        text = self._cut_numbers(text.replace(_END, f" \n {_FIRST}"))
        starts = accumulate((line.count(" ") for line in text.split(_FIRST)[1:-1]), initial=0)
        return LineIds(text.split(" ")[2:-1], list(starts), self._words.each, self._cut_at_blanks)

    def beginning(self, text: str, tokens: int) -> tuple[str, int, str]:
        """The segments that have at most so many tokens, their tokens, and the segment behind them."""
        size = max(1, tokens) * _CHARS_PER_TOKEN
        while size < len(text):
            found = self._beginning(text[:size], tokens, is_part=True)
            if found[2]:
                return found
            size *= 2
        return self._beginning(text, tokens, is_part=False)

    def _beginning(self, text: str, tokens: int, *, is_part: bool) -> tuple[str, int, str]:
        words = self._cut_at_blanks(text)
        memory, names = (self._segments, self._cut(text)) if words is None else (self._words, words)
        if is_part:
            names = names[:-1]  # it may go on
        seen = [0, *accumulate(map(len, memory.each(names)))]
        place = bisect_right(seen, tokens) - 1
        segments = [memory.segment_of(name).removeprefix(_FIRST) for name in names[: place + 1]]
        return "".join(segments[:place]), seen[place], "".join(segments[place:])

    def _cut(self, text: str) -> list[str]:
        """The segments. The first is marked: some tokenizers put a blank before a text."""
        if _has_one(text, _ODD):
            return [_FIRST + text]
        found = self._pattern.findall(text)
        if found:
            found[0] = _FIRST + found[0]
        return found

    def _cut_at_blanks(self, text: str) -> list[str] | None:
        """The words of a text; None for one that has to be cut by the pattern."""
        if not text or text[0].isspace() or self._is_odd(text):
            return None
        if _has_one(text, _WHITE) or any(run in text for run in _RUNS):
            text = _RUN.sub(_hidden, text)
        elif "  " in text:
            text = _BLANKS.sub(_hidden, text)
        words = self._cut_numbers(text.replace("\n", " \n")).split(" ")
        words[0] = _FIRST + words[0]
        return words

    def _is_odd(self, text: str) -> bool:
        """True for a text that the pattern has to cut."""
        return self._joining is None or _has_one(text, self._joining) or _has_one(text, _ODD)

    def _cut_numbers(self, text: str) -> str:
        """With a blank where the number of a line ends."""
        return _NUMBER_END.sub(f" {_GLUED}]", text) if self._numbers and "]" in text else text


class LineIds:
    """The ids of a document's lines, looked up once: to count them, and to join lines to a prompt.

    Attributes:
        lengths: tokens of each line with a line end behind it, encoded alone.
    """

    def __init__(
        self,
        names: Sequence[str],
        starts: Sequence[int],
        look_up: Callable[[Sequence[str]], list[Sequence[int]]],
        cut: Callable[[str], list[str] | None],
    ) -> None:
        """
        Args:
            names: of the segments of each line alone, the last one that of its end.
            starts: the place in `names` where each line begins, and behind the last one; shape (lines + 1,).
            look_up: the ids of each name.
            cut: the names of a text.
        """
        self._ids = look_up(names)
        self._starts = starts
        self._firsts = [names[place] for place in starts[:-1]]
        self._ends = [names[place - 1] for place in starts[1:]]
        self._look_up, self._cut = look_up, cut
        seen = [0, *accumulate(map(len, self._ids))]
        self.lengths = [seen[stop] - seen[start] for start, stop in pairwise(starts)]

    def joined(self, start: int, stop: int, *, prefix: str, suffix: str) -> list[int] | None:
        """Token ids of the lines `start..stop-1`, with line ends between them, behind `prefix` and before `suffix`.

        Only the segments in which a line meets another text are others than in a line alone.

        Returns:
            None where the whole text has to be encoded.
        """
        before, after = self._cut(prefix + self._firsts[start].removeprefix(_FIRST)), self._cut(f"x{suffix}")
        if before is None or after is None or self._ends[stop - 1] != "\n" or not f"{suffix}\n"[0].isspace():
            return None
        pairs = zip(self._ends[start : stop - 1], self._firsts[start + 1 : stop], strict=True)
        joints = [end + first.removeprefix(_FIRST) for end, first in pairs]
        found = self._look_up([*before, *joints, *after[1:]])
        place = self._starts[start]
        ids = self._ids[place : self._starts[stop]]
        for at, joint in zip(self._starts[start + 1 : stop], found[len(before) :], strict=False):
            ids[at - place - 1 : at - place + 1] = ((), joint)
        ids[0] = list(chain.from_iterable(found[: len(before)]))
        ids[-1] = list(chain.from_iterable(found[len(before) + len(joints) :]))
        return list(chain.from_iterable(ids))


class _Memory:
    """The ids of segments, by names that stand for them."""

    def __init__(self, encode: Encode, before: Mapping[str, int], segment_of: Callable[[str], str]) -> None:
        """
        Args:
            before: tokens of what segments are encoded behind.
            segment_of: the segment that a name stands for.
        """
        self._encode = encode
        self._before = before
        self.segment_of = segment_of
        self.known: dict[str, Sequence[int]] = {}
        self._size = 0

    def ids(self, cut: Sequence[Sequence[str]]) -> list[list[int]]:
        """The ids of each list of names, one behind the other."""
        found: list[list[int]] = []
        known, missing = self.known, list[int]()
        for place, names in enumerate(cut):
            try:
                found.append(list(chain.from_iterable(map(known.__getitem__, names))))
            except KeyError:
                found.append([])
                missing.append(place)
        if missing:
            known, others = self.look_up(set(chain.from_iterable(cut[place] for place in missing)))
            both = ChainMap(known, others) if others else known
            for place in missing:
                found[place] = list(chain.from_iterable(map(both.__getitem__, cut[place])))
        return found

    def each(self, names: Sequence[str]) -> list[Sequence[int]]:
        """The ids of each name."""
        try:
            return list(map(self.known.__getitem__, names))
        except KeyError:
            known, others = self.look_up(set(names))
            both = ChainMap(known, others) if others else known
            return list(map(both.__getitem__, names))

    def look_up(self, names: set[str]) -> tuple[dict[str, Sequence[int]], dict[str, Sequence[int]]]:
        """Ids of the names that are remembered from now on, and of the others."""
        known = self.known
        missing = list(names.difference(known))
        if not missing:
            return known, {}
        others: dict[str, Sequence[int]] = {}
        segments = list(map(self.segment_of, missing))
        before = list(map(_encoded_behind, segments))
        asked = [mark + segment.removeprefix(_FIRST) for mark, segment in zip(before, segments, strict=True)]
        for name, mark, ids in zip(missing, before, self._encode(asked), strict=True):
            kept = known if len(name) <= _LONGEST else others
            kept[name] = tuple(ids[self._before[mark] :] if mark else ids)
            self._size += len(name) + len(kept[name]) if kept is known else 0
        if len(known) > _MAX_SEGMENTS or self._size > _MAX_SIZE:
            self.known, self._size = {}, 0  # this call still has the old ones
        return known, others


def _has_one(text: str, characters: str) -> bool:
    return any(map(text.__contains__, characters))


def _as_it_is(segment: str) -> str:
    return segment


def _with_its_blank(word: str) -> str:
    """The segment of a word of a plain text: with what the text was cut at."""
    if word.startswith(("\n", _FIRST)):
        return word
    return word[1:].translate(_SHOWN) if word.startswith(_GLUED) else f" {word}"


def _hidden(run: re.Match[str]) -> str:
    """White space that is longer than one character: the beginning of a word. With the end of a line behind it."""
    white = run[0].replace(_END, "\n")
    following = f" {_FIRST}" if run[0][-1] == _END else ""
    return f" {_GLUED}" + "".join(_HIDDEN.get(one, one) for one in white) + following


def _encoded_behind(segment: str) -> str:
    if segment.startswith(_FIRST):
        return ""
    return "0" if segment[0] == "]" or segment[0].isspace() else "\n"
