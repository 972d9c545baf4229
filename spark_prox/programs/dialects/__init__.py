"""The dialects: one small file each, registered here. A new one is a `Dialect` in a file and a line in `DIALECTS`."""

from __future__ import annotations

from spark_prox.errors import ConfigError
from spark_prox.programs.dialects.base import Dialect, Parameter, Signature
from spark_prox.programs.dialects.prox import PROX
from spark_prox.programs.dialects.refinex import REFINEX
from spark_prox.programs.dialects.rescraper import RESCRAPER
from spark_prox.programs.dialects.ultrax import ULTRAX

__all__ = ["DIALECTS", "Dialect", "Parameter", "Signature", "dialect_for"]

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (PROX, REFINEX, ULTRAX, RESCRAPER)}


def dialect_for(name: str) -> Dialect:
    """A registered dialect.

    Raises:
        ConfigError: DIALECT_UNKNOWN.
    """
    found = DIALECTS.get(name)
    if found is None:
        raise ConfigError("DIALECT_UNKNOWN", f"There is no dialect {name!r:.80}.", f"Valid: {', '.join(DIALECTS)}.")
    return found
