"""Finds what only HTML says of each line of a page's text: its element, its share of link text, its heading level.

Text nodes get a mark of noncharacters before extraction; what is found in front of the characters of a line says where
they are from, and the marks go. So hints and lines are aligned by construction. Knows resiliparse's tree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree

__all__ = ["HINT_TYPE", "MARKS", "LineHint", "hinted_lines"]

HINT_TYPE = "array<struct<tag:string,link_share:float,level:int>>"
"""What Spark calls the hints of a text: one struct for each line."""

START, ZERO = "\ufdd2", 0xFDE0
MARKS = (START, *(chr(ZERO + digit) for digit in range(16)))
MARK = re.compile(f"{START}([{MARKS[1]}-{MARKS[-1]}]+)")
BLOCKS = frozenset(
    ("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dt", "fieldset",
     "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "legend", "li", "main",
     "nav", "option", "p", "pre", "section", "summary", "td", "th", "title")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LineHint:
    """One line.

    Attributes:
        tag: the block element that most of its characters stand in directly.
        link_share: of its characters that are not white space, the share inside links.
        level: 1 to 6 in a heading, else None.
    """

    tag: str
    link_share: float
    level: int | None = None


@dataclass(frozen=True)
class _Place:
    """Where a text node is."""

    tag: str = "body"
    in_link: bool = False
    level: int | None = None


def hinted_lines(tree: HTMLTree, extract: Callable[[HTMLTree], str]) -> tuple[str, list[LineHint]]:
    """The text of a page, and a hint for each of its lines.

    Args:
        tree: the page; it is changed.
        extract: the text of a tree, a block a line, without blank lines.
    """
    places = list(_mark_texts(tree))
    lines, hints = [], []
    current = _Place()
    for line in extract(tree).split("\n"):
        found: Counter[_Place] = Counter()
        first, *others = MARK.split(line)
        pieces = [(current, first)]
        for digits, text in zip(others[::2], others[1::2], strict=True):
            current = places[_number(digits)]
            pieces.append((current, text))
        for place, text in pieces:
            found[place] += len("".join(text.split()))
        plain = "".join(text for _, text in pieces)
        if plain.strip():
            lines.append(plain)
            hints.append(_hint(found))
    return "\n".join(lines), hints


def _hint(found: Counter[_Place]) -> LineHint:
    total = found.total()
    place = max(found, key=lambda one: found[one])
    links = sum(count for one, count in found.items() if one.in_link)
    return LineHint(tag=place.tag, link_share=round(links / total, 3) if total else 0.0, level=place.level)


def _mark_texts(tree: HTMLTree) -> Iterator[_Place]:
    """Mark the text nodes of a page; gives where each is, in the order of the marks. Without recursion."""
    number = 0
    waiting: list[tuple[Any, _Place]] = [(tree.body, _Place())] if tree.body is not None else []
    while waiting:
        node, place = waiting.pop()
        if node.tag == "#text":
            value = node.node_value or ""
            text = value.lstrip()
            if text:
                node.node_value = value[: len(value) - len(text)] + _mark(number) + text
                number += 1
                yield place
            continue
        inner = _inside(node.tag, place)
        waiting.extend((child, inner) for child in node.child_nodes.values())


def _inside(tag: str, place: _Place) -> _Place:
    if tag in BLOCKS:
        level = int(tag[1]) if tag[0] == "h" and tag[1:].isdecimal() else None
        return _Place(tag, place.in_link, level or place.level)
    if tag == "a":
        return _Place(place.tag, True, place.level)
    return place


def _mark(number: int) -> str:
    return START + "".join(chr(ZERO + int(digit, 16)) for digit in f"{number:x}")


def _number(digits: str) -> int:
    return int("".join(f"{ord(digit) - ZERO:x}" for digit in digits), 16)
