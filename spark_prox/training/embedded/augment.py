"""New labelled pages out of old ones: another page's content between this page's menus, blocks left out, short pages.

Training sees each page many times. Without variations it would memorise sites. Pure and deterministic in the
random source.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from spark_prox.annotation.labels import LabelledPage

__all__ = ["augmented", "content_alone", "recombine", "shortened", "thin_boilerplate"]


def _content_span(page: LabelledPage) -> tuple[int, int] | None:
    """First and one past the last line that is content; None without content."""
    kept = [number for number, keep in enumerate(page.keep) if keep >= 0.5]
    return (kept[0], kept[-1] + 1) if kept else None


def recombine(frame: LabelledPage, body: LabelledPage) -> LabelledPage:
    """Put the content span of `body` between the lines that surround the content of `frame`, with all labels."""
    outer, inner = _content_span(frame), _content_span(body)
    if outer is None or inner is None:
        return frame

    before, after, content = slice(0, outer[0]), slice(outer[1], None), slice(*inner)
    return dataclasses.replace(
        frame,
        page_id=f"{frame.page_id}+{body.page_id}",
        lines=frame.lines[before] + body.lines[content] + frame.lines[after],
        keep=frame.keep[before] + body.keep[content] + frame.keep[after],
    )


def thin_boilerplate(page: LabelledPage, source: random.Random, *, share: float) -> LabelledPage:
    """Leave out runs of up to 20 boilerplate lines, each such run with probability `share`."""
    chosen: list[int] = []
    number = 0
    while number < len(page.lines):
        stop = min(len(page.lines), number + source.randint(1, 20))
        leave_out = source.random() < share
        chosen += [line for line in range(number, stop) if not (leave_out and page.keep[line] < 0.5)]
        number = stop
    if not chosen:
        return page
    return dataclasses.replace(
        page, lines=tuple(page.lines[n] for n in chosen), keep=tuple(page.keep[n] for n in chosen)
    )


def content_alone(page: LabelledPage) -> LabelledPage:
    """The content without any boilerplate, as in text that was cleaned before; the page itself without content."""
    chosen = [number for number, keep in enumerate(page.keep) if keep >= 0.5]
    if not chosen:
        return page
    return dataclasses.replace(
        page, lines=tuple(page.lines[n] for n in chosen), keep=tuple(page.keep[n] for n in chosen)
    )


def shortened(page: LabelledPage, source: random.Random) -> LabelledPage:
    """A short page: at most 40 lines from within the content, and at most 12 of the lines before and after it."""
    span = _content_span(page)
    if span is None:
        return page
    start = source.randrange(*span)
    stop = min(span[1], start + source.randint(3, 40))
    before, after = max(0, span[0] - source.randint(0, 12)), span[1] + source.randint(0, 12)
    parts = slice(before, span[0]), slice(start, stop), slice(span[1], after)
    return dataclasses.replace(
        page,
        page_id=f"{page.page_id}/{start}-{stop}",
        lines=tuple(line for part in parts for line in page.lines[part]),
        keep=tuple(keep for part in parts for keep in page.keep[part]),
    )


def augmented(pages: Sequence[LabelledPage], index: int, source: random.Random, *, share: float) -> LabelledPage:
    """The page, or with probability `share` a variation of it."""
    page, roll = pages[index], source.random()
    if roll >= share:
        return page
    if roll < 0.1 * share:
        return content_alone(page)
    if roll < 0.6 * share:
        other = pages[source.randrange(len(pages))]
        page = recombine(page, other) if source.random() < 0.5 else recombine(other, page)
    if roll >= 0.4 * share:
        page = thin_boilerplate(page, source, share=0.3)
    return shortened(page, source) if source.random() < 0.3 else page
