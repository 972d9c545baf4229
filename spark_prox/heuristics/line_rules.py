"""Rules that write programs: a baseline for any model.

Each rule looks at the lines of a page and says which to keep. `program_of` turns this into a program of the chunk
level, so a rule's verdict goes through the same executor as a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from spark_prox.programs import remove_lines_program

__all__ = ["RULES", "LineRule", "c4_rule", "keep_everything", "program_of", "ten_words"]

LineRule = Callable[[Sequence[str]], list[bool]]

_C4_ENDINGS = (".", "!", "?", '"', "”")
_C4_NOTICES = ("javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies")


def keep_everything(lines: Sequence[str]) -> list[bool]:
    """No edit."""
    return [True] * len(lines)


def c4_rule(lines: Sequence[str]) -> list[bool]:
    """C4's line rules (arXiv 1910.10683, section 2.2): a final punctuation mark, five words, no notice."""
    return [
        line.rstrip().endswith(_C4_ENDINGS)
        and len(line.split()) >= 5
        and not any(notice in line.lower() for notice in _C4_NOTICES)
        for line in lines
    ]


def ten_words(lines: Sequence[str]) -> list[bool]:
    """Lines of ten words or more."""
    return [len(line.split(maxsplit=10)) >= 10 for line in lines]


RULES: Mapping[str, LineRule] = {"keep everything": keep_everything, "C4 line rule": c4_rule, "ten words": ten_words}


def program_of(keep: Sequence[bool]) -> str:
    """The program that removes the lines that are not kept."""
    return remove_lines_program(number for number, kept in enumerate(keep) if not kept)
