"""Clutter inside clean lines, and the `normalize` calls that take it out again.

People's labels are of whole lines; what a page's own templates append to a line is known only where we put it there.
"""

from __future__ import annotations

import random
from dataclasses import replace

from spark_prox.annotation.labels import LabelledPage
from spark_prox.programs import ReplaceText, format_program

__all__ = ["with_insertions"]

_FIXED = (
    " Read more »", " Read More", " Read more...", " Continue reading →", " [Read the full story]", " (more)",
    " Learn more >", " Click here to read more.", " [edit]", " Share this:", " Tweet", " | Share | Print | Email",
    " Leave a comment", " Permalink", " Advertisement", " [ad]", " View all »", " Back to top",
    " Like this: Like Loading...", " Report abuse", " Add to cart", " Subscribe to our newsletter",
    " Follow us on Twitter", " Weiterlesen »", " Lire la suite...", " Leer más",
)  # fmt: skip
_RULES = ("=", "-", "*", "_", "~", "#", ".", "•", "· ")


def _clutter(source: random.Random) -> str:
    kind = source.random()
    if kind < 0.5:
        return source.choice(_FIXED)
    if kind < 0.65:
        noun = source.choice(("comments", "Comments", "views", "replies", "shares", "likes"))
        return source.choice((" | {} {}", " ({} {})", " {} {}")).format(source.randrange(2, 400), noun)
    if kind < 0.8:
        host = (
            source.choice(("www.", ""))
            + source.choice(("example", "site", "blog", "news", "shop"))
            + source.choice((".com", ".org", ".net"))
        )
        path = "/".join(str(source.randrange(10, 9999)) for _ in range(source.randint(1, 2)))
        return f" http{source.choice(('', 's'))}://{host}/{path}" + source.choice(
            ("", "?utm_source=feed", ".html", "#comments")
        )
    return " " + source.choice(_RULES) * source.randint(5, 24)


def with_insertions(
    page: LabelledPage, source: random.Random, *, found: list[str] | None = None
) -> tuple[LabelledPage, list[str]]:
    """The page with clutter at the end of a few lines that people keep, and the calls that take it out.

    Args:
        found: gets the inserted strings.
    """
    lines = list(page.lines)
    places = [n for n, keep in enumerate(page.keep) if keep >= 0.5 and len(lines[n].split()) >= 8]
    texts: list[str] = []
    for _ in range(source.randint(1, 3)):
        text = _clutter(source).rstrip()
        if not places or any(text in line for line in lines) or any(other in text for other in texts):
            continue
        for place in source.sample(places, min(len(places), source.choice((1, 1, 1, 2, 3)))):
            lines[place] = lines[place].rstrip() + text
        texts.append(text)
    if found is not None:
        found += texts
    return replace(page, lines=tuple(lines)), [format_program([ReplaceText(text)]) for text in texts]
