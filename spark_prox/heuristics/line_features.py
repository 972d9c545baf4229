"""Numbers that describe each line of a page, for the line classifier. Text only: no HTML, no model.

Per line: length, stop words, punctuation, digits, capitals, boilerplate words; then position, the neighbours' values,
and how the page's prose is spread around the line. numpy is imported inside the functions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

__all__ = ["line_features", "with_context"]

_MAX_CHARS = 4_000  # a longer line is prose or data already; bounds the work for a line of 5 MB
_STOP_WORDS_TEXT = """
the of and to in a is that it for was on are with as at be this have from or by you he his they but not we
an she which their if will there were been has had would who can more when your what so out up its our
about into der die das und ist nicht ein eine zu den mit von für auf im sich des dem als auch es an werden
de la le les et des en un une que qui est pour dans pas sur au par plus ne se el los las y del por con
para una su al lo como más o di il che per non sono da è i e do da os que com não uma em na no het een van
op te dat niet zijn w na z się do jest nie i że po och att det som på är av för med и в не на что я с он
как это по
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
_BOILERPLATE_TEXT = """
login log sign signup register subscribe newsletter menu home contact about privacy policy terms cookies
cookie copyright reserved rights share tweet facebook twitter instagram pinterest linkedin youtube rss
email print search cart checkout account wishlist shop skip navigation toggle previous next comments reply
related popular recent archives categories tags posted advertisement sponsored follow download app faq
careers press sitemap help © all more read view see back top click here loading close accept
"""
_BOILERPLATE = frozenset(_BOILERPLATE_TEXT.split())
_WORD = re.compile(r"\w+")
_URL_OR_MAIL = re.compile(r"https?://|www\.|\S@\S+\.\w")
_DATE = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[./:]\d{2}\b")
_MENU_SIGNS = re.compile(r"[|»›→•·©®™▼]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PROSE_WORDS = 10


def _own_values(line: str, count: int) -> list[float]:
    """The features of a line on its own; `count` is how often the page has this line."""
    line = line[:_MAX_CHARS].strip()
    words = _WORD.findall(line)
    lower = [word.lower() for word in words]
    total, chars = len(words) or 1, len(line) or 1
    cjk = len(_CJK.findall(line))
    size = len(words) + cjk / 2
    return [
        size,
        chars,
        sum(word in _STOP_WORDS for word in lower) / total,
        sum(word in _BOILERPLATE for word in lower) / total,
        sum(word in _BOILERPLATE for word in lower),
        float(line[-1:] in '.!?。！？…"”’'),
        float(line[-1:] in ":;,"),
        sum(line.count(sign) for sign in ",，、;"),
        sum(line.count(sign) for sign in ".!?。！？"),
        sum(char.isdigit() for char in line) / chars,
        sum(char.isupper() for char in line) / chars,
        sum(word[:1].isupper() for word in words) / total,
        float(line[:1].islower()),
        float(line[:1].isdigit()),
        float(bool(_URL_OR_MAIL.search(line))),
        float(bool(_DATE.search(line))),
        len(_MENU_SIGNS.findall(line)),
        chars / total,
        cjk / chars,
        min(count, 10),
        len(set(lower)) / total,
    ]


def line_features(lines: Sequence[str]) -> Matrix:
    """One row a line, of the line's own values and of its place in the page; shape (lines, features)."""
    import numpy as np

    counts = Counter(lines)
    own = np.array([_own_values(line, counts[line]) for line in lines], dtype=np.float32).reshape(len(lines), -1)
    size = own[:, 0]
    prose = np.where(size >= _PROSE_WORDS, size, 0)
    total = max(1.0, float(prose.sum()))
    before, number = np.cumsum(prose) - prose, np.arange(len(lines), dtype=np.float32)
    is_prose = np.flatnonzero(prose)
    since = np.full(len(lines), 200.0)
    until = np.full(len(lines), 200.0)
    if len(is_prose):
        place = np.searchsorted(is_prose, number, side="right") - 1
        since = np.where(place >= 0, number - is_prose[np.maximum(place, 0)], 200.0)
        place = np.searchsorted(is_prose, number, side="left")
        until = np.where(place < len(is_prose), is_prose[np.minimum(place, len(is_prose) - 1)] - number, 200.0)
    page = np.stack(
        [
            number,
            number / max(1, len(lines) - 1),
            len(lines) - number,
            np.full(len(lines), len(lines)),
            np.full(len(lines), total),
            np.full(len(lines), total / max(1.0, float(size.sum()))),
            before / total,
            (total - before - prose) / total,
            np.minimum(since, 200),
            np.minimum(until, 200),
        ],
        axis=1,
    )
    return with_context(np.concatenate([own, page.astype(np.float32)], axis=1), columns=(0, 2, 3, 5, 9, 11))


def with_context(values: Matrix, *, columns: Sequence[int], reach: int = 3, windows: Sequence[int] = (5, 15)) -> Matrix:
    """Append each chosen column's values of the `reach` lines either side, and its means over windows of lines."""
    import numpy as np

    parts = [values]
    count = len(values)
    for column in columns:
        series = values[:, column]
        padded = np.concatenate([np.full(reach, -1), series, np.full(reach, -1)])
        parts += [padded[reach + step : reach + step + count, None] for step in range(-reach, reach + 1) if step]
        sums = np.concatenate([[0.0], np.cumsum(series, dtype=np.float64)])
        for window in windows:
            here = np.arange(count)
            low, high = np.maximum(here - window, 0), np.minimum(here + window + 1, count)
            parts.append(((sums[high] - sums[low]) / np.maximum(1, high - low))[:, None])
            parts.append(((sums[here] - sums[low]) / np.maximum(1, here - low))[:, None])
    return np.concatenate(parts, axis=1).astype(np.float32)
