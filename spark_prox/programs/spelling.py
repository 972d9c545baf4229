"""Tell whether a dialect reads ProX's own words as ProX does. Knows no model and no configuration."""

from __future__ import annotations

from spark_prox.errors import ConfigError
from spark_prox.programs.parse import parse_program
from spark_prox.programs.write import remove_lines_program

__all__ = ["check_reads_prox"]


def check_reads_prox(dialect: str) -> None:
    """Refuse a dialect in which ProX's own words, which margins and rules are written in, mean other lines.

    Raises:
        ConfigError: DIALECT_NOT_WRITTEN.
    """
    program = remove_lines_program([0])
    wanted, found = ([call.op for call in parse_program(program, dialect=name).calls] for name in ("prox", dialect))
    if found != wanted:
        raise ConfigError(
            "DIALECT_NOT_WRITTEN",
            f"The chunk level's writer writes ProX's own words, and dialect {dialect} reads them otherwise.",
            "Set dialect: prox, or a model that generates programs in that dialect.",
        )
