"""Texts for the rules: our example pages, and made ones that each break one rule or come close to it."""

from __future__ import annotations

import random
from pathlib import Path

from examples.page_lines import page_lines, read_pages

__all__ = ["rule_texts"]

_SOME = (
    "the river runs below a hill and people who live there have boats of their own with sails that they mend in winter "
    "before spring brings rain from northern mountains to every field garden orchard meadow village harbour "
    "market street"
)
WORDS = _SOME.split()


def prose(sentences: int) -> list[str]:
    """Sentences of eleven words, none of which is another one."""
    rng = random.Random(1)
    return [" ".join([*rng.choices(WORDS, k=10), f"number{n}"]).capitalize() + "." for n in range(sentences)]


def rule_texts() -> dict[str, str]:
    """Texts by name."""
    good = prose(30)
    text = "\n".join(good)
    made = {
        "prose": text,
        "one line": " ".join(good),
        "forty-nine words": " ".join(WORDS[:30] + WORDS[:19]),
        "fifty words": " ".join(WORDS[:30] + WORDS[:20]),
        "long words": "\n".join(f"{line} {'x' * 90} {'y' * 90}" for line in good),
        "short words": " ".join(["ab", "c", "de", "f", "the", "to"] * 20) + ".",
        "hashes": text + "\n" + " #" * 60,
        "ellipses": "\n".join(f"{line} ... and ... so" for line in good),
        "bullets": "\n".join(f"- {line}" for line in good),
        "most bullets": "\n".join([*good[:3], *(f"• {line}" for line in good)]),
        "cut lines": "\n".join(line + ".." if n % 3 == 0 else line for n, line in enumerate(good)),
        "figures": "\n".join(f"{line} 1 22 3.5 44 5% 6 7 8 9" for line in good[:20]),
        "no stop words": " ".join(f"zebra{n} quietly eats green{n} grass." for n in range(40)),
        "same lines": "\n".join(good[:10] + good[:6]),
        "few same lines": "\n".join(good + good[:2]),
        "same paragraphs": "\n\n".join(good[:9] + good[:5]),
        "one word again": " ".join(["buy now"] * 12 + good[:12]),
        "a phrase again": " ".join(f"{line} subscribe to our daily mail today" for line in good[:14]),
        "a long phrase again": " ".join(
            f"{line} all rights are reserved by the people of the river in every harbour" if n % 4 == 0 else line
            for n, line in enumerate(good)
        ),
        "lorem": text + "\nLorem ipsum dolor sit amet.",
        "curly": text + "\nThe function is f() { return 1; } and no more.",
        "javascript": "\n".join(f"{line[:-1]} with JavaScript." for line in good),
        "policy": "\n".join(f"{line[:-1]} by our privacy policy." for line in good),
        "four sentences": "\n".join(prose(4)),
        "five sentences": "\n".join(prose(5)),
        "five in one line": " ".join(prose(5)),
        "no ends": "\n".join(line[:-1] for line in good),
        "some ends": "\n".join(line if n % 8 == 0 else line[:-1] for n, line in enumerate(good)),
        "citations": "\n".join(f"{line}[{n}]" for n, line in enumerate(good)),
        "menu": "\n".join(f"{word} here" for word in WORDS) + "\n" + "\n".join(good[:4]),
        "list": "\n".join(" ".join(WORDS[n : n + 2]) + "." for n in range(len(WORDS) - 2)),
        "contractions": " ".join(f"I don't think they're here, it's {n}km away; we'll go at 5pm." for n in range(20)),
        "quotes": "\n".join(f"“{line}” she said (twice), well-known or not…" for line in good),
        "addresses": "\n".join(
            f"See https://example.com/{n}?a=b, write to me@example.org: {s}" for n, s in enumerate(good)
        ),
        "Greek": "Η θάλασσα είναι ήρεμη σήμερα. " * 3 + "Ο καιρός; Καλός! " * 20,
        "Chinese": "今天天气很好。我们去公园散步吧！" * 12,
    }
    pages = read_pages(Path(__file__).parents[3] / "examples" / "pages")
    return made | {f"example {page.name}": "\n".join(page_lines(page)) for page in pages}
