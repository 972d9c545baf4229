"""Seeded documents for runs that are disturbed: short, long, repeated, empty and broken ones, as JSON Lines."""

from __future__ import annotations

import json
import random
from pathlib import Path

__all__ = ["documents", "write_documents"]

_WORDS = ("the", "river", "rises", "in", "hills", "and", "reaches", "a", "sea", "after", "miles", "of", "meadows")
_FILES = 3


def documents(count: int, seed: int) -> list[tuple[str, str]]:
    """Ids and texts, the same for the same seed."""
    rng = random.Random(f"documents-{seed}")
    texts: list[str] = []
    for number in range(count):
        texts.append(rng.choice(texts) if texts and rng.random() < 0.05 else _text(rng, number))
    return [(f"d{number:05d}", text) for number, text in enumerate(texts)]


def write_documents(folder: Path, *, count: int, seed: int) -> int:
    """Write files of `count` documents, and some lines more that are no documents.

    Returns:
        How many lines there are: documents in = rows of `refined` + rows of `rejects` must be this.
    """
    rng = random.Random(f"lines-{seed}")
    lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in documents(count, seed)]
    for number in range(max(2, count // 40)):
        lines += [
            json.dumps({"id": f"empty{number}", "text": " \n " * (number % 2)}),
            json.dumps({"id": f"null{number}", "text": None}),
            json.dumps({"id": f"d{rng.randrange(count):05d}", "text": "an id that is taken"}),
            json.dumps({"id": None, "text": "no id"}),
            "{broken" * (1 + number),
        ]
    rng.shuffle(lines)
    folder.mkdir(parents=True)
    for part in range(_FILES):
        (folder / f"part-{part}.jsonl").write_text("\n".join(lines[part::_FILES]) + "\n", encoding="utf-8")
    return len(lines)


def _text(rng: random.Random, number: int) -> str:
    kind = rng.random()
    if kind < 0.04:
        return rng.choice(_WORDS)
    if kind < 0.07:
        return f"{number} " + " ".join(rng.choices(_WORDS, k=4000))  # one line, longer than any chunk
    lines = rng.randrange(2, 30) if kind < 0.9 else rng.randrange(100, 160)
    return f"Home | About {number}\n" + "\n".join(
        f"line {n} of {number}: " + " ".join(rng.choices(_WORDS, k=rng.randrange(1, 20))) for n in range(lines)
    )
