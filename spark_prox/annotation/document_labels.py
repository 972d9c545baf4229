"""Labelled documents for the document level, made from line-labelled pages without a large model.

Documents worth keeping are the content of a page, alone or between its menus. Documents not worth keeping are the
page's boilerplate alone; error, login, search and shop pages around it; shuffled words or lines; lists of titles;
stuffed keywords. The target is a probability: short content and content of fragments gets a medium one. Human
quality labels are not used. Deterministic in the random source; knows no tokenizer and no model.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from spark_prox.annotation.labels import LabelledPage
from spark_prox.documents import split_lines
from spark_prox.errors import InputError

__all__ = ["content_quality", "labelled_document", "load_labelled_documents"]

Lines = list[str]

_NOTICES = (
    ("404 Not Found", "The page you requested could not be found.", "Go to the home page"),
    ("Page not found", "Sorry, we couldn't find what you were looking for.", "Try a search"),
    ("403 Forbidden", "You don't have permission to access this resource.", "Apache Server at Port 80"),
    ("500 Internal Server Error", "Something went wrong. Please try again later.", "Error code 500"),
    ("Service unavailable", "This site is down for maintenance. Please check back soon."),
    ("This domain is for sale", "Buy this domain", "Related searches", "Privacy policy"),
    ("Account suspended", "Contact your hosting provider for more information."),
    ("Please enable JavaScript to view this page", "Checking your browser before accessing the site", "Ray ID: 7f3a"),
    ("Log in", "User name", "Password", "Remember me", "Forgot your password?", "Not a member yet? Register"),
    ("Create an account", "First name", "Last name", "Email address", "Confirm password", "I agree to the terms"),
    ("You must be logged in to view this content", "Log in", "Register"),
    ("Your shopping cart is empty", "Continue shopping", "Subtotal: $0.00", "Checkout"),
    ("Sorry, no posts matched your criteria.", "Search"),
    ("There are no products matching the selection.", "Sort by price", "Show 12 24 36"),
    ("Seite nicht gefunden", "Die angeforderte Seite existiert nicht.", "Zur Startseite"),
    ("Page introuvable", "La page que vous cherchez n'existe pas.", "Retour à l'accueil"),
    ("Página no encontrada", "Lo sentimos, la página que busca no existe.", "Volver al inicio"),
    ("This video is not available", "Watch later", "Share", "Up next"),
    ("Thread closed", "You do not have permission to post", "Jump to forum"),
    ("Age verification", "You must be 18 or older to enter this site.", "Enter", "Leave"),
)
_SPAM_WORDS_TEXT = """
cheap best buy online discount free casino bonus viagra replica watches loan credit seo backlinks poker
slots download crack keygen torrent dating escort forex crypto earn money fast weight loss pills essay
writing service price sale outlet jersey handbags shipping coupon code review 2024 near me
"""
_SPAM_WORDS = _SPAM_WORDS_TEXT.split()


def _words(lines: Sequence[str]) -> int:
    return sum(len(line.split()) for line in lines)


def content_quality(lines: Sequence[str]) -> float:
    """The probability that content is worth keeping, 0.3 to 0.95: less for short content and few sentences."""
    words = _words(lines)
    by_length = 0.3 if words < 25 else 0.5 if words < 60 else 0.75 if words < 150 else 0.95
    in_sentences = sum(len(line.split()) for line in lines if line.rstrip()[-1:] in set('.!?。！？…"”’:')) / max(
        1, words
    )
    return by_length * (0.55 + 0.45 * min(1.0, in_sentences / 0.6))


def _kept(page: LabelledPage) -> Lines:
    return [line for line, keep in zip(page.lines, page.keep, strict=True) if keep >= 0.5]


def _boilerplate(page: LabelledPage) -> Lines:
    return [line for line, keep in zip(page.lines, page.keep, strict=True) if keep < 0.5]


def _content(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    lines = _kept(page)
    if source.random() < 0.25 and len(lines) > 2:
        start = source.randrange(len(lines))
        lines = lines[start : start + source.randint(1, 6)]
    return lines, content_quality(lines)


def _whole_page(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    share = _words(_kept(page)) / max(1, _words(page.lines))
    quality = content_quality(_kept(page))
    return list(page.lines), quality * (0.5 + 0.5 * min(1.0, share / 0.3)) if _words(_kept(page)) >= 20 else 0.15


def _only_boilerplate(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    return _boilerplate(page), 0.05


def _notice_page(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    menu = _boilerplate(page)
    before = menu[: source.randint(0, 40)] if source.random() < 0.7 else []
    after = menu[-source.randint(1, 20) :] if source.random() < 0.5 else []
    return [*before, *source.choice(_NOTICES), *after], 0.03


def _shuffled_words(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    lines = _kept(page) or list(page.lines)
    words = " ".join(lines).split()[:3000]
    source.shuffle(words)
    cut, size = [], 0
    while size < len(words):
        step = source.randint(3, 60)
        cut.append(" ".join(words[size : size + step]))
        size += step
    return cut, 0.03


def _title_list(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    lines = [line for line in page.lines if 2 <= len(line.split()) <= 14]
    source.shuffle(lines)
    endings = ("", "", "...", " Read more", " »", " (3)", " - $19.99", " | 12 comments")
    ending = source.choice(endings)
    return [line + ending for line in lines[: source.randint(8, 80)]], 0.06


def _snippets(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    lines = [line for line in _kept(page) if len(line.split()) >= 12]
    source.shuffle(lines)
    result = []
    for line in lines[: source.randint(3, 25)]:
        words = line.split()
        start = source.randrange(max(1, len(words) - 20))
        result += [" ".join(words[start : start + source.randint(8, 25)]) + source.choice((" ...", " […]", "..."))]
        result += source.choice(([], ["Read more"], ["Posted by admin", "0 Comments"], ["Continue reading →"]))
    return result, 0.12


def _stuffed(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    topic = [word for line in page.lines for word in line.split() if len(word) > 4] or ["shop"]
    subject = source.choices(topic, k=source.randint(1, 3))
    lines = []
    for _ in range(source.randint(3, 30)):
        words = source.choices(_SPAM_WORDS, k=source.randint(4, 30)) + subject * source.randint(1, 4)
        source.shuffle(words)
        lines.append(" ".join(words) + source.choice(("", ".", ",")))
    return lines, 0.03


_MAKERS: tuple[tuple[Callable[[LabelledPage, random.Random], tuple[Lines, float]], float], ...] = (
    (_content, 0.30),
    (_whole_page, 0.25),
    (_only_boilerplate, 0.14),
    (_notice_page, 0.08),
    (_shuffled_words, 0.07),
    (_title_list, 0.06),
    (_snippets, 0.06),
    (_stuffed, 0.04),
)


def labelled_document(page: LabelledPage, source: random.Random) -> tuple[Lines, float]:
    """One document made from a page, and the probability that it is worth keeping. Never without words."""
    makers, weights = zip(*_MAKERS, strict=True)
    for maker in source.choices(makers, weights, k=4):
        lines, keep = maker(page, source)
        if any(line and not line.isspace() for line in lines):
            return lines, keep
    return list(_NOTICES[0]), 0.03


def load_labelled_documents(path: str | Path) -> tuple[list[Lines], list[bool]]:
    """Documents with a human label, `{id, text, keep}` in `.jsonl(.gz)`: their lines and whether they are
    worth keeping.

    Raises:
        InputError: a missing file or a row without text or label.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("LABELS_MISSING", f"no labelled documents at {path}.", "Name an existing file.")
    texts, labels = [], []
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for number, row in enumerate(map(json.loads, stream), start=1):
            if not isinstance(row.get("text"), str) or "keep" not in row:
                raise InputError(
                    "LABELS_BAD_ROW", f"row {number} of {path.name} has keys {sorted(row)}.", "It needs text, keep."
                )
            texts.append(split_lines(row["text"]))
            labels.append(bool(row["keep"]))
    return texts, labels
