"""The dialect that removals of whole lines are written in, so that a run's executor reads the lines that are meant.

Margins and rules remove lines and nothing else. They are written in ProX's own words where the dialect of the run
reads these as ProX does, and in the dialect's words otherwise. Knows no model and no configuration.
"""

from __future__ import annotations

from functools import lru_cache

from spark_prox.errors import ConfigError, ProxError
from spark_prox.programs.ops import Op, RemoveLines
from spark_prox.programs.parse import parse_program
from spark_prox.programs.write import remove_lines_program

__all__ = ["removals_dialect", "respell"]

_LINES = (0, 2, 3, 11)


@lru_cache(maxsize=16)
def removals_dialect(dialect: str) -> str:
    """The name of the dialect in which removals are written for a run in `dialect`: `prox` wherever it will do.

    Raises:
        ConfigError: DIALECT_NOT_WRITTEN for a dialect that has no words for the removal of a line.
    """
    wanted = _removals(remove_lines_program(_LINES), "prox")
    for words in ("prox", dialect):
        try:
            program, nothing = remove_lines_program(_LINES, words), remove_lines_program((), words)
        except ProxError:
            continue
        if _removals(program, dialect) == wanted and not _removals(nothing, dialect):
            return words
    raise ConfigError(
        "DIALECT_NOT_WRITTEN",
        f"The chunk level's writer removes whole lines, and dialect {dialect} has no words for that.",
        "Set dialect: prox, or a model that generates programs in that dialect.",
    )


def respell(program: str, dialect: str) -> str:
    """A program of removals in ProX's words, in the words of another dialect."""
    if dialect == "prox":
        return program
    removed = (line for op in _removals(program, "prox") for line in range(op.first, op.last + 1))
    return remove_lines_program(removed, dialect)


def _removals(program: str, dialect: str) -> list[RemoveLines]:
    ops: list[Op | None] = [call.op for call in parse_program(program, dialect=dialect).calls]
    return [op for op in ops if isinstance(op, RemoveLines)]
