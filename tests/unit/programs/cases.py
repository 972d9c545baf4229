"""Generators of documents and programs: well-formed ones, and what goes wrong with them. Seeded; no hypothesis."""

from __future__ import annotations

import random

__all__ = ["document", "mutated", "upstream_program"]

_TEXT = (
    "the quick brown fox Home Share Reply URL=http://x.org/?a=b 2019 — © naïve 日本語 a b , . = ( ) | "
    "\"quoted\" 'it' back\\slash \\n remove_lines(0, 3) all=True 10% [003] \t\u00a0"
)
_WORDS = _TEXT.split(" ")
_SNIPPETS = (
    "(", ")", ",", "=", '"', "'", "\\", "\n", "\r", " ", ";", "#", "all=True", "```", "-1", "1_0", "٣", "+2", "9" * 30,
    "remove_lines", "normalize", "start=", "\x00", "\ud800", "(", "\u2028", "0x1", "1.5", "\"\"\"", "９", "（", "[003]",
)  # fmt: skip


def document(rng: random.Random, max_lines: int = 14) -> str:
    """A text with at least one word: lines of words, blank lines, odd characters."""
    lines = []
    for _ in range(rng.randint(1, max_lines)):
        count = rng.choice((0, 1, 2, 5, 9))
        lines.append(rng.choice(("", "", " ")) + " ".join(rng.choices(_WORDS, k=count)))
    text = "\n".join(lines)
    return text if text.split() else text + "word"


def upstream_program(rng: random.Random, text: str, max_calls: int = 5) -> str:
    """A program as the released models write them: keyword arguments, double quotes, one call a line."""
    lines = text.split("\n")
    calls = []
    for _ in range(rng.randint(1, max_calls)):
        kind = rng.random()
        if kind < 0.55:
            first = rng.randint(0, len(lines) + 1)
            last = first + rng.choice((0, 0, 1, 2, 5, -1, 40))
            names = rng.choice((("start", "end"), ("line_start", "line_end")))
            calls.append(f"remove_lines({names[0]}={first}, {names[1]}={max(last, 0)})")
        elif kind < 0.9:
            source = _substring(rng, rng.choice(lines)).translate({ord(c): None for c in '",=()\\'})
            if rng.random() < 0.6:
                calls.append(f'normalize(source_str="{source}", target_str="")')
            elif rng.random() < 0.5:
                calls.append(f'normalize(source_str="{source}")')
            else:
                calls.append(f'normalize(source_str="{source}", target_str="{rng.choice(("x", "a b", "é"))}")')
        else:
            calls.append(rng.choice(("keep_chunk()", "untouch_doc()", "skip_chunk()")))
    if rng.random() < 0.03:
        calls.append("remove_lines(all=True)")
    return "\n".join(calls)


def mutated(rng: random.Random, program: str, max_changes: int = 4) -> str:
    """The program with pieces cut, doubled, moved or replaced by characters that mean something."""
    for _ in range(rng.randint(1, max_changes)):
        start = rng.randint(0, len(program))
        stop = min(len(program), start + rng.choice((0, 0, 1, 1, 3, 12)))
        piece = rng.choice(_SNIPPETS) if rng.random() < 0.7 else program[start:stop] * 2
        program = program[:start] + piece + program[stop:]
    if rng.random() < 0.15:
        program = program[: rng.randint(0, len(program))]
    return program


def _substring(rng: random.Random, line: str) -> str:
    start = rng.randint(0, len(line))
    return line[start : start + rng.choice((0, 1, 2, 4, 8, 30))]
